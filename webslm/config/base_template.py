"""Own which chat template a build takes, and its switches, before anything is planned."""

from __future__ import annotations

from collections.abc import Iterator

from webslm.basics.paths import expanded, resolve_data
from webslm.model.gguf.location import locate
from webslm.model.gguf.model import read_model
from webslm.model.prompts import template_files
from webslm.model.prompts.template import check_options
from webslm.schema import BaseSource, Config, Finetune, Weights
from webslm.training.tokenizer import CHAT_TEMPLATE


def settle(cfg: Config) -> None:
    """Take the chat template that an adapter trained elsewhere brings; check what is here already.

    Raises:
        ConfigError: A local base has no chat template, a file is none, or a switch that is set is
            not the template's.
    """
    base = cfg.base
    own = _own(cfg)
    if base.template_path is None and cfg.finetune is Finetune.adapter and cfg.adapter.path:
        brought = template_files.locate(resolve_data(cfg.adapter.path))
        if brought is not None and template_files.read(brought) != own:
            base.template_path = str(brought)
    if base.template_path is not None:
        own = template_files.read(resolve_data(base.template_path))
    if own is not None:
        check_options(own, base.template_options)


def lines(cfg: Config) -> Iterator[str]:
    """Yield what a plan says of the chat template; nothing where it is the base's, untouched."""
    base, adapter = cfg.base, cfg.adapter.path
    if base.template_path is not None:
        path = resolve_data(base.template_path)
        whose = adapter is not None and path.is_relative_to(resolve_data(adapter))
        yield f"chat template: {path}{', the adapter was trained with it' if whose else ''}"
    if base.template_options:
        options = ", ".join(f"{key}={value}" for key, value in base.template_options.items())
        yield f"chat template switches: {options}"


def _own(cfg: Config) -> str | None:
    """Return the base's own template; None: it is not here yet.

    Raises:
        ConfigError: A local base has none, and none is given.
    """
    base = cfg.base
    if base.source is BaseSource.local:
        folder = expanded(str(base.path))
        given = base.template_path is not None
        return None if given else template_files.read(folder)
    if base.source is BaseSource.gguf:
        return read_model(locate(str(base.path))).vocabulary.template
    made = base.source is BaseSource.tiny and base.weights is Weights.checkpoint
    return CHAT_TEMPLATE if made else None
