"""Own whether a Python's mlc_llm is the row's: asked before work, told in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from webslm.basics.errors import EnvironmentMismatch, WebslmError
from webslm.compiler.mlc_failures import DOCS
from webslm.compiler.mlc_llm import RUNTIME, SOURCE_DIR, Found, interpreter, probe, runtime_file
from webslm.engine.machine.matrix import is_in, nearest
from webslm.schema import RuntimeConf

PYTHON = "python"
"""The tool's Python is its own affair; the row's range is for webslm's."""


def check_tool(python: str, row: RuntimeConf) -> dict[str, str]:
    """Hold what a Python has of mlc_llm against the row; return the versions.

    Args:
        python: ``compiler.python``.
        row: The matrix row.

    Raises:
        ConfigError: There is no such program.
        EnvironmentMismatch: mlc_llm is absent, broken or not the row's, or lacks its runtime.
    """
    program = interpreter(python)
    found = probe(program)
    check_found(program, found, row)
    if runtime_file() is None:
        raise EnvironmentMismatch(
            f"compiler=mlc_llm: no {RUNTIME} below {SOURCE_DIR}",
            hint="run ./web/prep_emcc_deps.sh in mlc-llm's source tree, then export "
            f"{SOURCE_DIR}=TREE",
        )
    return found.known


def look(python: str, row: RuntimeConf) -> tuple[str, str, str | None]:
    """Return what ``doctor`` says of the tool: its state, a text, and what to type."""
    try:
        found = check_tool(python, row)
    except WebslmError as exc:
        return "missing", exc.message, exc.hint
    return "ok", ", ".join(f"{part} {version}" for part, version in found.items()), None


def check_found(program: Path, found: Found, row: RuntimeConf) -> None:
    """Hold what was found against the row's pins and ranges.

    Raises:
        EnvironmentMismatch: Names the first part that is absent, broken or not the row's.
    """
    _check_there(program, found)
    for part, pin in row.tools.items():
        _check_pin(part, pin, found.versions.get(part), row)
    for part, allowed in row.allowed.items():
        version = found.versions.get(part)
        if part in row.tools or part == PYTHON or part not in found.versions:
            continue
        if version is None or not is_in(version, allowed.range):
            raise EnvironmentMismatch(
                f"compiler=mlc_llm: {part} is {version or 'unknown'}, row {row.name!r} allows "
                f"{allowed.range}: {allowed.reason}",
                hint=f"an environment of that release ({DOCS}), or another row",
            )


def _check_there(program: Path, found: Found) -> None:
    if not found.there:
        raise EnvironmentMismatch(
            f"compiler=mlc_llm: {program} has no mlc_llm",
            hint="make an environment with it and name its Python: "
            f"compiler.python=FOLDER/bin/python ({DOCS}); compiler=tvm needs none",
        )
    if found.error is not None:
        raise EnvironmentMismatch(
            f"compiler=mlc_llm: the mlc_llm of {program} does not load: {found.error}",
            hint=f"make the environment anew with TVM and mlc_llm of one release ({DOCS})",
        )


def _check_pin(part: str, pin: str, version: str | None, row: RuntimeConf) -> None:
    if version == pin:
        return
    if version is None:
        raise EnvironmentMismatch(
            f"compiler=mlc_llm: {part} is absent or does not say its version, row {row.name!r} "
            f"pins {pin}",
            hint=_absent(row.tools, part),
        )
    allowed = row.allowed.get(part)
    fits = allowed is None or is_in(version, allowed.range)
    raise EnvironmentMismatch(
        f"compiler=mlc_llm: {part} is {version}, row {row.name!r} pins {pin}",
        hint=f"runtime.tools.{part}={version}, which the row allows"
        if fits
        else f"the nearest row: runtime={nearest(part, version, with_tools=True)}",
    )


def _absent(pins: Mapping[str, str], part: str) -> str:
    if part == "emscripten":
        return f"source emsdk_env.sh before the build: emsdk install {pins[part]}"
    return "install it (PYTHON -m pip install TREE/python): a source tree alone has no version"
