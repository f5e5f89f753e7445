"""Own edits of a checkpoint's chat template, made once so that every reader sees the same one.

Training, the browser's prompt and the proof all read the template of the base's tokenizer: what is
folded or fixed here is folded and fixed on all sides.
"""

from __future__ import annotations

# A macro of this name hides the clock that transformers gives to templates.
_CLOCK = "strftime_now"
_FOLD = (
    "{{%- if messages and messages[0]['role'] == 'system' -%}}"
    "{{%- if messages | length < 2 or messages[1]['role'] != 'user' -%}}"
    "{{{{ raise_exception('a system message must stand before a user message') }}}}"
    "{{%- endif -%}}"
    "{{%- set messages = [{{'role': 'user', 'content':"
    " messages[0]['content'] + {separator} + messages[1]['content']}}] + messages[2:] -%}}"
    "{{%- endif -%}}"
)


def edited(template: str, *, fold: str | None, date: str) -> str:
    """Return a template with its clock stopped and, where asked for, the system role folded.

    Args:
        template: The tokenizer's own, Jinja.
        fold: What stands between the system text and the first user text that takes it in; None:
            the template renders system messages itself.
        date: What a template that asks for today is told. A clock would make the same rows train
            on other tokens tomorrow.
    """
    if fold is not None:
        template = _FOLD.format(separator=_quoted(fold)) + template
    if _CLOCK in template:
        macro = f"{{%- macro {_CLOCK}(format) -%}}{{{{ {_quoted(date)} }}}}{{%- endmacro -%}}"
        template = macro + template
    return template


def _quoted(text: str) -> str:
    """Return a Jinja string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"
