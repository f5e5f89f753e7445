"""Own the boundary to Hydra: overrides to a checked ``Config``, errors to sentences.

With ``cli``, ``axes`` and ``multirun`` all that knows Hydra; nothing below sees a DictConfig.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from webslm.errors import ConfigError
from webslm.local_base import fill_shape
from webslm.paths import conf_dir
from webslm.schema import BaseSource, Config

CONFIG_NAME = "config"
Problem = tuple[str, str | None]
PLUGINS = {
    "hydra/launcher": "pip install 'webslm[sweep]', for ray_cluster 'webslm[ray]'",
    "hydra/sweeper": "pip install 'webslm[sweep]'",
}
"""Groups whose options need an extra, and how to get it."""


def register_schema() -> None:
    """Make the dataclasses known to Hydra as ``schema``."""
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="schema", node=Config)


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
    """Return a composed DictConfig as plain dataclasses, interpolations resolved."""
    from omegaconf import OmegaConf

    config = OmegaConf.to_object(raw)
    if not isinstance(config, Config):
        raise TypeError(f"composed a {type(config).__name__}, not a Config")
    extra = list(_extra_keys(config, ""))
    if extra:
        raise ConfigError(problems=tuple((f"unknown key {key!r}", _nearest(key)) for key in extra))
    if config.base.source is BaseSource.local:
        fill_shape(config)
    return config


def restore(values: Mapping[str, Any]) -> Config:
    """Return a configuration from its plain values, as a lock holds them.

    Raises:
        ConfigError: Another webslm wrote them: a key is unknown or a value has another type.
    """
    from omegaconf import OmegaConf

    try:
        return to_config(OmegaConf.merge(OmegaConf.structured(Config), escaped(values)))
    except composition_errors() as exc:
        raise ConfigError(
            f"the recorded configuration is not of this webslm: {_root(exc).splitlines()[0]}",
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

    # Hydra 1.3 answers `group=3` with a bare ValueError.
    return (HydraException, OmegaConfBaseException, ValueError)


def explain(error: Exception, overrides: Sequence[str]) -> ConfigError:
    """Return a composition error as sentences: each override is tried alone to find them all."""
    problems = []
    for override in overrides:
        problem = _problem_of(override, overrides)
        if problem is not None and problem not in problems:
            problems.append(problem)
    if not problems:
        problems.append(_sentence(error, ""))
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
        return hydra_compose(
            config_name=CONFIG_NAME, overrides=list(overrides), return_hydra_config=hydra
        )


def _problem_of(override: str, overrides: Sequence[str]) -> Problem | None:
    paths = [word for word in overrides if word.startswith("hydra.searchpath=")]
    try:
        to_config(compose_raw(list(dict.fromkeys([*paths, override]))))
    except ConfigError as exc:
        return exc.problems[0]
    except composition_errors() as exc:
        return _sentence(exc, override)
    return None


def _sentence(error: Exception, override: str) -> Problem:
    from hydra.errors import MissingConfigException, OverrideParseException

    key = override.partition("=")[0].lstrip("+~")
    text = _root(error)
    if isinstance(error, OverrideParseException):
        return syntax_problem(error, override)
    if isinstance(error, MissingConfigException):
        return _missing(error, key, override)
    if override.startswith("~"):
        return f"{override!r} takes away what every build needs", f"choose one: {key}=OPTION"
    found = re.search(r"full_key: (\S+)", text)
    where = found.group(1) if found else key
    first = text.splitlines()[0].strip()
    if re.search(r"not in struct|Key '.*' not in|Could not override|Could not append", first):
        return f"unknown key {where!r}", _nearest(where or key)
    if "Missing mandatory value" in first or "missing" in first.lower():
        return f"{where or 'a value'}: is not set", f"add {where or 'key'}=VALUE"
    if "Invalid value" in first and "expected one of" in first:
        options = re.findall(r"\[(.*)\]", first)
        return f"{where}: {first}", f"one of {options[0]}" if options else None
    return f"{where}: {first}" if where else first, _type_hint(where)


def _root(error: BaseException) -> str:
    # Hydra wraps OmegaConf's error, whose text names the full key.
    cause = error.__cause__
    while cause is not None and cause.__cause__ is not None:
        cause = cause.__cause__
    return str(cause) if cause is not None and str(cause).strip() else str(error)


def syntax_problem(error: Exception, override: str) -> Problem:
    """Return what to say of an override that Hydra cannot read."""
    if "=" not in override:
        return (
            f"{override!r} is neither KEY=VALUE nor a known verb",
            "python -m webslm --help lists both",
        )
    return (
        f"{override!r} cannot be read: {str(error).splitlines()[0]}",
        "quote values with special characters, such as \"key='a=b'\"",
    )


def _missing(error: Exception, key: str, override: str) -> Problem:
    value = override.partition("=")[2]
    if key in PLUGINS and (conf_dir() / key / f"{value}.yaml").is_file():
        return f"{key}={value}: its packages are not installed", PLUGINS[key]
    options = re.findall(r"^\t(\S+)$", str(error), re.MULTILINE)
    near = difflib.get_close_matches(value, options, n=1)
    listed = f"one of {', '.join(options)}" if options else "python -m webslm --help"
    hint = f"did you mean {key}={near[0]}? {listed}" if near else listed
    return f"{key}: no option {value!r}", hint


def _nearest(key: str) -> str:
    known = sorted(_keys(Config, ""))
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if not near:
        leaf = key.rpartition(".")[2]
        near = [name for name in known if name.rpartition(".")[2] == leaf][:1]
    return f"did you mean {near[0]!r}?" if near else "python -m webslm --cfg job shows every key"


def _keys(node: type, prefix: str) -> Iterator[str]:
    for name, kind in typing.get_type_hints(node).items():
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            yield prefix + name
            yield from _keys(kind, f"{prefix}{name}.")
        else:
            yield prefix + name


def _type_hint(where: str) -> str:
    kind: Any = Config
    for part in where.split("."):
        hints = typing.get_type_hints(kind) if dataclasses.is_dataclass(kind) else {}
        kind = hints.get(part.partition("[")[0])
    if kind is None or dataclasses.is_dataclass(kind):
        return "python -m webslm --cfg job shows every key"
    name = kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")
    return f"{where} takes {name}"
