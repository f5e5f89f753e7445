"""Own the way from a tokenizer's chat template to a ``conv_template`` that says the same.

The template is not read but probed: marked conversations show what it puts around contents.

While a chat goes on, web-llm keeps its cache and adds only the newest user message and the reply's
header, so whatever ``seps`` puts after an *answer* is left out from the second turn on. ``derive``
therefore puts the end of an answer in front of the next user message where it can: that renders
the same text and stays right in both cases.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from webslm.basics.errors import StageFailed
from webslm.model.prompts.conversation import SYSTEM_PLACEHOLDER, ConvTemplate, Message, js_replace
from webslm.model.prompts.ends import ANSWER, ASKED_ON, FIRST, SECOND
from webslm.model.prompts.rendering import FOLD_HINT, Refused

Render = Callable[[Sequence[Message]], str]
"""The tokenizer's own template, messages to a prompt with the reply's header; StageFailed where it
refuses them."""
PAGE_HINT = "app.template=page has the page render the chat template itself"
"""What helps wherever only web-llm's block is too poor."""
SYSTEM = "zqSystemqz"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a template puts around the contents of a conversation."""

    before_system: str | None
    """None: the template takes no system message."""
    after_system: str | None
    """From the system message to the first user message."""
    before_user: str
    """In front of the first user message when there is no system message."""
    turn: str
    """From a user message to the answer."""
    next_turn: str
    """From an answer to the next user message."""
    reply: str
    """After the last user message when an answer is asked for."""
    no_system: StageFailed | None = None
    """Why the template takes no system message."""


def probe(template: Render) -> Parts:
    """Find what a template puts around contents, by rendering marked conversations.

    Raises:
        StageFailed: It drops, repeats or moves a content, or fails on a plain conversation.
    """
    plain = _cut(template(ASKED_ON), FIRST, ANSWER, SECOND)
    before = after = no_system = None
    try:
        text = template([{"role": "system", "content": SYSTEM}, *ASKED_ON])
    except StageFailed as exc:
        text, no_system = "", exc
    if text:
        before, after, *rest = _cut(text, SYSTEM, FIRST, ANSWER, SECOND)
        if rest != plain[1:]:
            raise StageFailed(
                "the chat template renders later turns differently after a system", hint=PAGE_HINT
            )
    return Parts(
        before_system=before,
        after_system=after,
        before_user=plain[0],
        turn=plain[1],
        next_turn=plain[2],
        reply=plain[3],
        no_system=no_system,
    )


def derive(parts: Parts, specials: Sequence[str], system_prompt: str, name: str) -> ConvTemplate:
    """Return the ``conv_template`` (without stop lists) that renders what the template renders.

    Args:
        parts: What ``probe`` found.
        specials: The tokenizer's special tokens: pieces are best cut in front of one.
        system_prompt: The training rows' system message; "" if they have none.
        name: A label; web-llm ignores it.

    Raises:
        StageFailed: web-llm has no way to say it.
    """
    if js_replace(SYSTEM_PLACEHOLDER, SYSTEM_PLACEHOLDER, system_prompt) != system_prompt:
        raise StageFailed(
            "the system message holds $$, $&, $` or $', which web-llm's JavaScript replaces",
            hint="put a space between the dollar sign and what follows; or: " + PAGE_HINT,
        )
    cut = _boundary(parts.turn, parts.next_turn, specials)
    user_sep, assistant = parts.turn[:cut], parts.turn[cut:]
    if not parts.reply.startswith(user_sep):
        raise StageFailed(
            f"the reply's header {parts.reply!r} does not start with {user_sep!r}", hint=PAGE_HINT
        )
    layout, user = _layout(parts, specials, system_prompt)
    reply = parts.reply.removeprefix(user_sep)
    role, content_sep, empty_sep = _split_role(user, assistant, reply)
    return {
        "name": name,
        **layout,
        "roles": {"user": user.removesuffix(content_sep), "assistant": role},
        "role_content_sep": content_sep,
        "role_empty_sep": empty_sep,
        "seps": [user_sep, str(layout["seps"][1])],
    }


def _layout(parts: Parts, specials: Sequence[str], system_prompt: str) -> tuple[ConvTemplate, str]:
    """Return the system part, the separators after answers, and what stands before a user text."""
    before, after = parts.before_system, parts.after_system
    first = parts.before_user
    if system_prompt:
        if before is None or after is None:
            if parts.no_system is not None and not isinstance(parts.no_system, Refused):
                raise parts.no_system
            raise StageFailed(
                "the chat template takes no system message, but the training rows have one",
                hint=FOLD_HINT if parts.no_system is None else parts.no_system.hint,
            )
        first = after
    user = _shared_end(parts.next_turn, first, specials)
    inside = not user and bool(system_prompt)
    if inside:
        # The system message stands inside the first user turn, whose role is in ``before``.
        user = _shared_end(parts.next_turn, parts.before_user, specials)
    if not user:
        raise StageFailed(
            f"the first user message follows {first!r}, a later one {parts.next_turn!r}",
            hint=PAGE_HINT,
        )
    layout: ConvTemplate = {
        "system_template": f"{before}{SYSTEM_PLACEHOLDER}{first.removesuffix(user)}",
        "system_message": system_prompt,
        "add_role_after_system_message": not inside,
        "seps": ["", parts.next_turn.removesuffix(user)],
    }
    return (layout if system_prompt else layout | _default_system(parts, user)), user


def _default_system(parts: Parts, user: str) -> ConvTemplate:
    """Return the system part of a template whose conversations have no system message."""
    fixed = parts.before_user.removesuffix(user)
    before, after = parts.before_system, parts.after_system
    if fixed and before is not None and after is not None and after.endswith(user):
        end = after.removesuffix(user)
        inner = len(fixed) - len(before) - len(end)
        if inner >= 0 and fixed.startswith(before) and fixed.endswith(end):
            message = fixed[len(before) : len(before) + inner]
            return {
                "system_template": f"{before}{SYSTEM_PLACEHOLDER}{end}",
                "system_message": message,
            }
    return {"system_template": fixed or SYSTEM_PLACEHOLDER, "system_message": ""}


def _shared_end(text: str, other: str, specials: Sequence[str]) -> str:
    """Return the longest end of ``text`` that ``other`` has too and that a special token begins.

    The whole of ``text`` counts as well.
    """
    starts = {0} | {m.start() for token in specials for m in re.finditer(re.escape(token), text)}
    return next((text[start:] for start in sorted(starts) if other.endswith(text[start:])), "")


def _split_role(user: str, assistant: str, reply: str) -> tuple[str, str, str]:
    """Return the assistant's role text, the separator before contents and that before nothing."""
    if assistant == reply:
        shared = _common_prefix(user[::-1], assistant[::-1])[::-1]
        return assistant.removesuffix(shared), shared, shared
    role = _common_prefix(assistant, reply)
    content_sep = assistant.removeprefix(role)
    if not user.endswith(content_sep):
        raise StageFailed(
            f"an answer follows {assistant!r} in a conversation and {reply!r} when it is asked for",
            hint="web-llm has one separator for all roles and cannot say both; " + PAGE_HINT,
        )
    return role, content_sep, reply.removeprefix(role)


def _boundary(text: str, other: str, specials: Sequence[str]) -> int:
    """Return where in ``text`` the next role begins: at the last special token both share."""
    shared = len(_common_prefix(text, other))
    starts = [match.start() for token in specials for match in re.finditer(re.escape(token), text)]
    return max((start for start in starts if start <= shared), default=0)


def _common_prefix(one: str, other: str) -> str:
    length = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        length += 1
    return one[:length]


def _cut(text: str, *markers: str) -> list[str]:
    """Split a text at markers, each of which stands in it once, in order."""
    found = []
    for marker in markers:
        if text.count(marker) != 1:
            raise StageFailed(
                f"the chat template renders a message {text.count(marker)} times or out of order",
                hint="web-llm renders each message once, in order; where only the system message "
                "is out of place, base.system_fold puts it into the first user message; "
                "else " + PAGE_HINT,
            )
        part, _, text = text.partition(marker)
        found.append(part)
    return [*found, text]
