"""Own which compiler goes with which matrix row, before anything is compiled."""

from __future__ import annotations

from collections.abc import Iterator

from webslm.basics.compilers import MLC_LLM, PREBUILT, TVM
from webslm.basics.errors import Problem
from webslm.engine.machine.matrix import nearest, rows
from webslm.schema import Config, Precision


def problems(cfg: Config) -> Iterator[Problem]:
    """Yield what of a compiler and a row does not go together, with the nearest row that does."""
    compiler, row = cfg.compiler.name, cfg.runtime
    if compiler == PREBUILT:
        return
    if compiler in (TVM, MLC_LLM) and bool(row.tools) != (compiler == MLC_LLM):
        kind = "an mlc_llm" if row.tools else "the wheels of compiler=tvm"
        better = nearest("web_llm", row.web_llm, with_tools=compiler == MLC_LLM)
        yield (
            f"compiler: {compiler} does not go with row {row.name!r}, which pins {kind}",
            f"the nearest row that works: runtime={better}",
        )
        return
    if compiler == MLC_LLM:
        yield from _mlc_llm(cfg)


def _mlc_llm(cfg: Config) -> Iterator[Problem]:
    row = cfg.runtime
    if cfg.compiler.python == "isolated":
        yield (
            "compiler.python: isolated: no index of pip has an mlc_llm to install",
            "the path of a Python that has it (docs/how-to/mlc-llm.md)",
        )
    kind, quant = cfg.base.shape.model_type, cfg.quant.name
    if kind not in row.model_types:
        yield (
            f"compiler: the mlc_llm of row {row.name!r} makes no library for {kind!r} that "
            "computes what torch does",
            _other_row("model_types", kind),
        )
    if quant not in row.formats and cfg.precision is not Precision.auto:
        yield (
            f"compiler: the mlc_llm of row {row.name!r} does not know the format {quant!r}",
            f"quant={' or quant='.join(row.formats)}, or compiler=tvm",
        )


def _other_row(field: str, value: str) -> str:
    found = [name for name, row in rows().items() if value in getattr(row, field)]
    return " or ".join([*(f"runtime={name}" for name in found), "compiler=tvm"])
