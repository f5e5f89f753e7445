"""Own the boundary to Hydra: overrides to a checked ``Config``, errors to sentences.

With ``mistakes``, ``cli``, ``axes`` and ``multirun`` all that knows Hydra; nothing below sees a
DictConfig.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from webslm.basics.errors import ConfigError, Problem
from webslm.basics.paths import conf_dir
from webslm.config import base_template
from webslm.config.freeform import typed
from webslm.config.local_base import fill_shape, refuse_shape
from webslm.config.mistakes import nearest, root, sentence
from webslm.config.own_texts import is_own, starter, text
from webslm.engine.machine.pins import for_python
from webslm.schema import BaseSource, Config

CONFIG_NAME = "config"


def register_schema() -> None:
    """Make the dataclasses known to Hydra as ``schema``."""
    from hydra.core.config_store import ConfigStore

    from webslm.config.options_source import register

    register_texts()
    ConfigStore.instance().store(name="schema", node=Config)
    register()


def register_texts() -> None:
    """Make ``${texts:KEY}`` and ``${manner:SHARE}`` known to OmegaConf."""
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("texts", _text, replace=True)
    OmegaConf.register_new_resolver("manner", _manner, replace=True)


def _manner(share: float, *, _root_: Any) -> float | None:
    """Return a gate of answers' manner where the data says what that is; None: nothing to judge."""
    described = "data" in _root_ and (_root_.data.closing or _root_.data.signatures)
    return share if described else None


def _text(key: str, *, _root_: Any) -> Any:
    from omegaconf import OmegaConf

    if "data" not in _root_:
        # Asked by a merge in the middle of composing, only whether there is a value.
        return starter()[key]
    raw: dict[str, Any] = {
        group: OmegaConf.to_container(_root_[group], resolve=False) for group in ("data", "domain")
    }
    own_title = key == "title" and is_own(raw)
    name = str(_root_.name) if own_title else ""
    groups = (str(_root_.base.name), str(_root_.quant.name)) if own_title else ("", "")
    return text(key, raw, name, groups)


def compose(overrides: Sequence[str]) -> Config:
    """Return the configuration that ``overrides`` describe.

    Raises:
        ConfigError: Holds every override that cannot be, not only the first.
    """
    try:
        return to_config(compose_raw(overrides))
    except composition_errors() as exc:
        raise explain(exc, overrides) from exc


def compose_job(overrides: Sequence[str]) -> Any:
    """Return one job's DictConfig.

    Raises:
        ConfigError: Holds every override that cannot be.
    """
    try:
        return compose_raw(overrides)
    except composition_errors() as exc:
        raise explain(exc, overrides) from exc


def to_config(raw: Any) -> Config:
    """Return a composed DictConfig as plain dataclasses, with the wheels of this Python."""
    # A launcher's process has imported this module and registered nothing.
    register_texts()
    config = _plain(raw)
    config.runtime = for_python(config.runtime)
    return config


def _plain(raw: Any) -> Config:
    from omegaconf import OmegaConf

    config = OmegaConf.to_object(raw)
    if not isinstance(config, Config):
        raise TypeError(f"composed a {type(config).__name__}, not a Config")
    extra = list(_extra_keys(config, ""))
    if extra:
        raise ConfigError(problems=tuple((f"unknown key {key!r}", nearest(key)) for key in extra))
    if config.base.source in (BaseSource.local, BaseSource.gguf):
        fill_shape(config)
    base_template.settle(config)
    return config


def restore(values: Mapping[str, Any]) -> Config:
    """Return a configuration from its plain values, as a lock holds them.

    Raises:
        ConfigError: Another webslm wrote them: a key is unknown or a value has another type.
    """
    from omegaconf import OmegaConf

    try:
        return _plain(OmegaConf.merge(OmegaConf.structured(Config), escaped(values)))
    except composition_errors() as exc:
        raise ConfigError(
            f"the recorded configuration is not of this webslm: {root(exc).splitlines()[0]}",
            hint="use the webslm that wrote it, named in its key 'webslm'",
        ) from exc


def escaped(value: Any) -> Any:
    """Return plain values in which no text is read as an interpolation."""
    if isinstance(value, Mapping):
        return {key: escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [escaped(item) for item in value]
    return value.replace("${", "\\${") if isinstance(value, str) else value


def _extra_keys(node: object, prefix: str) -> Iterator[str]:
    # Hydra's `+key=value` adds keys even to a dataclass; nothing would ever read them.
    if not dataclasses.is_dataclass(node):
        return
    known = {field.name for field in dataclasses.fields(node)}
    for name, value in vars(node).items():
        if name in known:
            yield from _extra_keys(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def composition_errors() -> tuple[type[Exception], ...]:
    """Return what Hydra and OmegaConf raise for a user's mistake."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    # Hydra 1.3 answers `group=3` with a bare ValueError, `+=` with a failed assertion.
    return (HydraException, OmegaConfBaseException, ValueError, AssertionError)


def explain(error: Exception, overrides: Sequence[str]) -> ConfigError:
    """Return a composition error as sentences: each override is tried alone to find them all."""
    problems = []
    for override in overrides:
        problem = _problem_of(override, overrides)
        if problem is not None and problem not in problems:
            problems.append(problem)
    if not problems:
        problems.append(sentence(error, ""))
    return ConfigError(problems=tuple(problems))


def good_overrides(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that compose when tried alone."""
    return [override for override in overrides if _problem_of(override, overrides) is None]


@contextmanager
def initialized() -> Iterator[Any]:
    """Give Hydra's configuration loader over the shipped folder."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    register_schema()
    GlobalHydra.instance().clear()
    with initialize_config_dir(config_dir=str(conf_dir()), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


def compose_raw(overrides: Sequence[str], *, hydra: bool = False) -> Any:
    """Return the DictConfig of the overrides, with Hydra's own part on demand."""
    from hydra import compose as hydra_compose

    with initialized():
        raw = hydra_compose(
            config_name=CONFIG_NAME, overrides=typed(overrides), return_hydra_config=hydra
        )
    if raw.base.source in (BaseSource.local, BaseSource.gguf):
        refuse_shape(overrides)
    return raw


def _problem_of(override: str, overrides: Sequence[str]) -> Problem | None:
    paths = [word for word in overrides if word.startswith("hydra.searchpath=")]
    try:
        to_config(compose_raw(list(dict.fromkeys([*paths, override]))))
    except ConfigError as exc:
        return exc.problems[0]
    except composition_errors() as exc:
        return sentence(exc, override)
    return None
