"""Own edits of a checkpoint's chat template, made once so that every reader sees the same one.

Training, the browser's prompt and the proof all read the template of the base's tokenizer: what is
folded, fixed, switched or moved into the prompt here is so on all sides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from webslm.basics.errors import ConfigError, StageFailed

if TYPE_CHECKING:
    from jinja2.nodes import Template

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
_GIVEN = {
    *("messages", "add_generation_prompt", "raise_exception", _CLOCK),
    *("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"),
    *("additional_special_tokens", "continue_final_message"),
}
"""What transformers gives to every template: no switch of a user's."""
# Marks for transformers' masks; they render nothing and plain Jinja does not know them.
_GENERATION = re.compile(r"\{%[-+]?\s*(?:end)?generation\s*[-+]?%\}")


def edited(
    template: str, *, fold: str | None, date: str, options: Mapping[str, Any] | None = None
) -> str:
    """Return a template with its clock stopped, its switches set and the system role folded.

    Args:
        template: The tokenizer's own, Jinja.
        fold: What stands between the system text and the first user text that takes it in; None:
            the template renders system messages itself.
        date: What a template that asks for today is told. A clock would make the same rows train
            on other tokens tomorrow.
        options: Values of variables that the template uses.

    Raises:
        ConfigError: The template does not use such a variable.
    """
    options = options or {}
    check_options(template, options)
    clock = _CLOCK in template
    if fold is not None:
        template = _FOLD.format(separator=_quoted(fold)) + template
    for name, value in options.items():
        template = f"{{%- set {name} = {_literal(value)} -%}}" + template
    if clock:
        macro = f"{{%- macro {_CLOCK}(format) -%}}{{{{ {_quoted(date)} }}}}{{%- endmacro -%}}"
        template = macro + template
    return template


def with_opening(template: str, opening: str) -> str:
    """Return a template whose reply's header goes on with ``opening``."""
    # Jinja drops one line break at a template's end, where this is no longer the end.
    ended = template.removesuffix("\n")
    return f"{ended}{{{{ {_quoted(opening)} if add_generation_prompt else '' }}}}"


def check_options(template: str, options: Mapping[str, Any]) -> None:
    """Raise ConfigError for every option that a template does not use."""
    known = switches(template) if options else frozenset()
    problems = [
        (
            f"base.template_options.{name}: the chat template does not use it",
            f"it uses {', '.join(sorted(known))}" if known else "it has no switches: leave it out",
        )
        for name in options
        if name not in known
    ]
    if problems:
        raise ConfigError(problems=tuple(problems))


def switches(template: str) -> frozenset[str]:
    """Return the variables of a template that nothing sets but options; none if it is no Jinja."""
    from jinja2 import TemplateError, meta

    try:
        return frozenset(meta.find_undeclared_variables(_parsed(template))) - _GIVEN
    except TemplateError:
        return frozenset()


@lru_cache(maxsize=16)
def _parsed(template: str) -> Template:
    from jinja2 import Environment

    # Parsed only; what it renders is text for a model, no page.
    environment = Environment(extensions=["jinja2.ext.loopcontrols"])  # noqa: S701
    return environment.parse(_GENERATION.sub("", template))


def _literal(value: Any) -> str:
    """Return a Jinja literal of a value as YAML has them."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, Mapping):
        pairs = (f"{_quoted(str(key))}: {_literal(item)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    raise StageFailed(f"base.template_options: no chat template takes a {type(value).__name__}")


def _quoted(text: str) -> str:
    """Return a Jinja string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"
