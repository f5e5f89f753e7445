"""Own what a library's shaders show: how many, of how many bytes, and the most of each limit.

Read from the linked file, so that it holds for every library, whoever compiled it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from webslm.basics.errors import StageFailed
from webslm.basics.stage import Metric
from webslm.compiler.passes.limits import check_shaders
from webslm.compiler.wasm.shaders import library_shaders
from webslm.schema import CompileStageConf

UNKNOWN = "unknown"
"""In place of each fact of a library whose shaders cannot be read."""
FACTS = ("num_shaders", "wgsl_bytes", "shader_limits")


def shader_facts(cfg: CompileStageConf, linked: Path) -> dict[str, Metric]:
    """Hold a library's shaders against the profile; return ``FACTS`` and their names.

    Raises:
        StageFailed: The shaders cannot be read, or break a limit; each is named.
    """
    return _facts(cfg, library_shaders(linked))


def foreign_shader_facts(cfg: CompileStageConf, linked: Path) -> dict[str, Metric]:
    """Do the same for a library of another compiler, which may keep its shaders in another way.

    Returns:
        The facts; ``UNKNOWN`` for each, and no names, where the shaders cannot be read.

    Raises:
        StageFailed: A shader breaks a limit, or their number has a budget and cannot be told.
    """
    try:
        found = library_shaders(linked)
    except StageFailed as exc:
        if cfg.compiler.max_shaders is None:
            return dict.fromkeys(FACTS, UNKNOWN)
        raise StageFailed(
            f"{exc.message}, and compiler.max_shaders allows {cfg.compiler.max_shaders}",
            hint="set the budget to null, or compile it here: compiler=tvm",
        ) from exc
    return _facts(cfg, found)


def _facts(cfg: CompileStageConf, found: Mapping[str, str]) -> dict[str, Metric]:
    limits = check_shaders(
        found, dtype=cfg.activations or cfg.quant.dtype, profile=cfg.compiler.profile
    )
    names: list[Metric] = [*sorted(found)]
    return {
        "num_shaders": len(found),
        "wgsl_bytes": sum(len(text.encode()) for text in found.values()),
        "shader_limits": {**limits},
        "shaders": names,
    }
