"""Own the rendering of a conversation by a tokenizer's chat template, and why one cannot be.

A template is a user's file: whatever goes wrong in it is told in one sentence, and a hint is given
only where the way out that it names was tried and renders.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from webslm.basics.errors import StageFailed
from webslm.model.prompts.template import switches

Messages = Sequence[Mapping[str, str]]
FOLD = "base.system_fold='\\n\\n'"
FOLD_HINT = f"{FOLD} puts the system message into the first user message"
OTHER_TEMPLATE = "base.template_path=FILE takes another chat template, such as the model's default"
THOUGHTLESS = ("enable_thinking", "thinking")
"""Names of switches by which templates leave out thoughts."""
THOUGHT = "<think>"
SOME_VALUES: tuple[Any, ...] = ("", {}, [])
"""Values of each kind, to see whether any value of a variable helps."""
_UNKNOWN = re.compile(r"'(\w+)' is undefined")


class Refused(StageFailed):
    """The template itself refuses a conversation (``raise_exception``)."""


@dataclass(frozen=True, kw_only=True)
class _Request:
    """A conversation for a tokenizer's template."""

    tokenizer: Any
    messages: Messages
    prompt: bool

    def render(self, **options: Any) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                [dict(message) for message in self.messages],
                tokenize=False,
                add_generation_prompt=self.prompt,
                **options,
            )
        )

    def tried(self, **options: Any) -> str | None:
        """Return the text; None: the template fails with these options too."""
        try:
            return self.render(**options)
        except Exception:  # noqa: BLE001  as in ``text``
            return None


def text(tokenizer: Any, messages: Messages, *, prompt: bool) -> str:
    """Return a conversation as the chat template renders it.

    Args:
        tokenizer: transformers' own.
        messages: Of ``role`` and ``content``.
        prompt: Whether the reply's header ends it.

    Raises:
        Refused: The template says that it does not take them.
        StageFailed: The template fails on them, and why.
    """
    from jinja2.exceptions import TemplateError

    asked = _Request(tokenizer=tokenizer, messages=messages, prompt=prompt)
    try:
        return asked.render()
    # Jinja runs what the template's author wrote: any exception can come out of it.
    except Exception as exc:
        if type(exc) is TemplateError:
            said = f"the chat template refuses a conversation: {exc}"
            raise Refused(said, hint=_fold_helps(asked)) from exc
        sentence, hint = _reason(asked, exc)
        raise StageFailed(sentence, hint=hint) from exc


def token_ids(tokenizer: Any, messages: Messages, *, prompt: bool) -> list[int]:
    """Return the token ids of what ``text`` renders; raises as it does."""
    return tokenized(tokenizer, text(tokenizer, messages, prompt=prompt))


def prompt_ids(tokenizer: Any, messages: Messages) -> list[int]:
    """Return the tokens a page sends to get the next assistant turn."""
    return token_ids(tokenizer, messages, prompt=True)


def tokenized(tokenizer: Any, rendered: str) -> list[int]:
    """Return the token ids of a rendered text."""
    # The template writes the special tokens itself; adding them again would start a row twice.
    ids: list[int] = tokenizer(rendered, add_special_tokens=False)["input_ids"]
    return ids


def helpful_option(tokenizer: Any, messages: Messages, answer: int) -> str | None:
    """Return the option under which a row begins with the prompt of its answer; None: no such.

    Args:
        tokenizer: Its template asks for an answer otherwise than it renders one.
        messages: The row.
        answer: Which of its messages is the answer.
    """
    asking = _Request(tokenizer=tokenizer, messages=messages[:answer], prompt=True)
    telling = _Request(tokenizer=tokenizer, messages=messages[: answer + 1], prompt=False)
    used = switches(tokenizer.get_chat_template())
    for name in (name for name in THOUGHTLESS if name in used):
        if _begins(telling.tried(**{name: False}), asking.tried(**{name: False})):
            return f"base.template_options.{name}=false"
    if len(messages) > 1 and messages[0]["role"] == "system":
        folded = (replace(one, messages=_folded(one.messages)).tried() for one in (telling, asking))
        if _begins(*folded):
            return FOLD
    thinks = THOUGHT in messages[answer]["content"]
    source = tokenizer.get_chat_template()
    # One that is set already is no switch any more, but its name stands in the template.
    kept = (name for name in THOUGHTLESS if thinks and name in source)
    return next((f"base.template_options.{name}=true" for name in kept), None)


def _begins(told: str | None, asked: str | None) -> bool:
    return told is not None and asked is not None and told.startswith(asked)


def _folded(messages: Messages) -> Messages:
    first = {"role": "user", "content": messages[0]["content"] + messages[1]["content"]}
    return [first, *messages[2:]]


def _fold_helps(asked: _Request) -> str | None:
    messages = asked.messages
    if len(messages) < 2 or messages[0]["role"] != "system":
        return None
    folded = replace(asked, messages=_folded(messages))
    return None if folded.tried() is None else FOLD_HINT


def _reason(asked: _Request, exc: Exception) -> tuple[str, str | None]:
    """Return why a template failed and what helps."""
    from jinja2 import TemplateSyntaxError, UndefinedError

    if isinstance(exc, TemplateSyntaxError):
        return f"the chat template is not Jinja: line {exc.lineno}: {exc.message}", OTHER_TEMPLATE
    lists = _empty_lists_help(asked, switches(asked.tokenizer.get_chat_template()))
    if lists:
        given = ", ".join(f"{name}: []" for name in lists)
        return (
            f"the chat template needs {' and '.join(lists)}, which a chat has not",
            f"{OTHER_TEMPLATE}; base.template_options='{{{given}}}' gives it none",
        )
    unknown = _UNKNOWN.match(str(exc)) if isinstance(exc, UndefinedError) else None
    if unknown is not None:
        name = unknown[1]
        helps = any(asked.tried(**{name: value}) is not None for value in SOME_VALUES)
        hint = f"; base.template_options.{name}=VALUE gives it one" if helps else ""
        return (
            f"the chat template uses {name!r}, which nothing gives it",
            OTHER_TEMPLATE + hint,
        )
    kind = "" if isinstance(exc, UndefinedError) else f"{type(exc).__name__}: "
    said = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
    return (
        f"the chat template fails on a conversation: {kind}{said}",
        _fold_helps(asked) or OTHER_TEMPLATE,
    )


def _empty_lists_help(asked: _Request, names: Container[str]) -> list[str]:
    """Return the lists whose absence a template does not stand: with empty ones it renders."""
    used = [name for name in ("tools", "documents") if name in names]
    ways = [[name] for name in used] + ([used] if len(used) > 1 else [])
    return next((way for way in ways if asked.tried(**{name: [] for name in way}) is not None), [])


def load_tokenizer(folder: Path) -> Any:
    """Return transformers' tokenizer of a folder.

    Raises:
        StageFailed: A file is missing or broken.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    # The tokenizers library raises plain Exception for a broken file.
    except Exception as exc:
        said = str(exc).strip().splitlines() or [type(exc).__name__]
        raise StageFailed(
            "transformers cannot read tokenizer.json with tokenizer_config.json: " + said[0],
            hint="fetch the tokenizer's files again",
        ) from exc
