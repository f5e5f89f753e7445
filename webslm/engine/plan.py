"""Own planning: a configuration to ordered steps with keys. Touch nothing but files to digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from webslm.basics.errors import ConfigError
from webslm.basics.keys import (
    file_digest,
    lines_digest,
    plain,
    stage_key,
    tree_digest,
    tree_lines,
    without,
)
from webslm.basics.paths import PACKAGE, resolve_data
from webslm.engine.table import STAGES, StageSpec
from webslm.model.gguf.location import is_packed, locate
from webslm.schema import Config, StageConf


@dataclass(frozen=True, kw_only=True)
class Step:
    """A stage in a plan: its configuration, its address and what it reads."""

    stage: str
    key: str
    conf: StageConf
    needs: tuple[str, ...]
    files: Mapping[str, str]
    """Digests of the files outside the cache, by dotted key (and index)."""
    wheels: Mapping[str, str]
    sources: str = ""
    """Digest of the code that does the work."""
    ingredients: Mapping[str, Any] = field(default_factory=dict)
    """What the key is a digest of, in words: config, code, inputs, files, wheels."""


def plan(cfg: Config, stages: Sequence[StageSpec] = STAGES) -> list[Step]:
    """Return the steps of a build in the order they run, up to ``cfg.until``.

    ::

        data ----------+--> inspect (for the report)
                       +--> finetune --> merge --> normalize --> convert --+--> golden --+
        base ----------+                              |                    |             |
             +--> evaluate_base (base, data) --> evaluate (finetune, merge, convert) ----+
             +--> convert_base (if a mode compares) ------------------------------------+
                                                      +-> chat_config -------------------+
        scale (merge, data; if asked for) comes between merge and convert
        compile (shape, format, context only) -------------------------------------------+
        compile_f16 (likewise; with precision=both) -------------------------------------+
                                                                    bundle <-------------+
                                                                       +--> verify

    Raises:
        ConfigError: A file the configuration names is not there.
        OSError: It cannot be read.
    """
    steps: list[Step] = []
    keys: dict[str, str] = {}
    for spec in (spec for spec in stages if spec.wanted(cfg)):
        step = _step(cfg, spec, keys)
        keys[spec.name] = step.key
        steps.append(step)
        if spec.name == cfg.until:
            break
    return steps


def _step(cfg: Config, spec: StageSpec, keys: Mapping[str, str]) -> Step:
    conf = spec.configure(cfg)
    config = plain(conf)
    files = _file_digests(config, spec.external)
    wheels = {name: cfg.runtime.wheels[name] for name in spec.wheels if name in cfg.runtime.wheels}
    needs = tuple(need for need in spec.needs if need in keys)
    code = [(source, tree_lines([PACKAGE / source])) for source in spec.sources]
    sources = lines_digest(line for _, lines in code for line in lines)
    counted = without(config, (*spec.external, *spec.ignored))
    inputs = {need: keys[need] for need in needs}
    key = stage_key(
        stage=spec.name,
        sources=sources,
        config=counted,
        inputs=inputs,
        files=files,
        wheels=wheels,
    )
    named = {
        (PurePosixPath(source).parent / name).as_posix(): digest
        for source, lines in code
        for name, digest in lines
    }
    return Step(
        stage=spec.name,
        key=key,
        conf=conf,
        needs=needs,
        files=files,
        wheels=wheels,
        sources=sources,
        ingredients={
            "config": counted,
            "code": named,
            "inputs": inputs,
            "files": files,
            "wheels": wheels,
        },
    )


def _file_digests(config: Any, dotted_keys: Sequence[str]) -> dict[str, str]:
    digests = {}
    for dotted in dotted_keys:
        value = config
        for part in dotted.split("."):
            value = value[part]
        paths = value if isinstance(value, list) else [value]
        for index, path in enumerate(paths):
            if path is not None:
                digests[f"{dotted}.{index}"] = _digest_of(path, dotted)
    return digests


def _digest_of(path: str, dotted: str) -> str:
    try:
        return _digest(path)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise ConfigError(f"{dotted}: {path}: no such file", hint=f"check {dotted}") from exc


def _digest(name: str) -> str:
    """Digest a file, or the files (not the folders) of a folder such as a checkpoint."""
    if is_packed(name):
        return locate(name).digest()
    path = resolve_data(name)
    if path.is_dir():
        return tree_digest(sorted(file for file in path.iterdir() if file.is_file()))
    return file_digest(path)
