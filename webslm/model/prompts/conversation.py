"""Own how web-llm 0.2.85 renders a ``conv_template``: in pieces that it tokenizes one by one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from webslm.basics.errors import StageFailed

Message = Mapping[str, str]
ConvTemplate = dict[str, Any]

SYSTEM_PLACEHOLDER = "{system_message}"
_JS_PATTERN = re.compile(r"\$([$&`'])")


def pieces(conv: ConvTemplate, messages: Sequence[Message]) -> list[str]:
    """Return the texts that web-llm tokenizes one by one for a fresh conversation.

    Raises:
        StageFailed: A role that the template has not, or a last message that is no user's.
    """
    system = str(conv["system_message"])
    if messages and messages[0]["role"] == "system":
        system, messages = messages[0]["content"], messages[1:]
    if not messages or messages[-1]["role"] != "user":
        raise StageFailed("a prompt must end with a user message")
    prompt = js_replace(conv["system_template"], SYSTEM_PLACEHOLDER, system)
    found = [prompt] if prompt else []
    for index, message in enumerate(messages):
        bare = index == 0 and bool(prompt) and conv.get("add_role_after_system_message") is False
        found.append(_message(conv, index, message, bare=bare))
    return [*found, _header(conv)]


def continued_pieces(conv: ConvTemplate, messages: Sequence[Message]) -> list[str]:
    """Return the texts that web-llm adds to its cache for a later turn of the same chat."""
    turns = [message for message in messages if message["role"] != "system"]
    index = len(turns) - 1
    return [_message(conv, index, turns[index], bare=False), _header(conv)]


def render(conv: ConvTemplate, messages: Sequence[Message]) -> str:
    """Return web-llm's whole prompt for a conversation that ends with a user message."""
    return "".join(pieces(conv, messages))


def js_replace(text: str, pattern: str, replacement: str) -> str:
    """Replace the first ``pattern`` as JavaScript does: ``$$`` and the like are special."""
    start = text.find(pattern)
    if start < 0:
        return text
    before, after = text[:start], text[start + len(pattern) :]
    special = {"$": "$", "&": pattern, "`": before, "'": after}
    return before + _JS_PATTERN.sub(lambda match: special[match[1]], replacement) + after


def _message(conv: ConvTemplate, index: int, message: Message, *, bare: bool) -> str:
    if message["role"] not in conv["roles"]:
        raise StageFailed(f"the conversation template has no role {message['role']!r}")
    prefix = "" if bare else conv["roles"][message["role"]] + conv.get("role_content_sep", ": ")
    seps: list[str] = conv["seps"]
    text = message["content"]
    placeholder = f"{{{message['role']}_message}}"
    role_template = conv.get("role_templates", {}).get(message["role"])
    if role_template is not None:
        text = js_replace(js_replace(role_template, placeholder, text), "{function_string}", "")
    return str(prefix + text + seps[index % len(seps)])


def _header(conv: ConvTemplate) -> str:
    return str(conv["roles"]["assistant"] + conv.get("role_empty_sep", ": "))
