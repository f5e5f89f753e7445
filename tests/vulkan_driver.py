"""A small Vulkan driver of our own, for what lavapipe itself does not do on demand."""

from __future__ import annotations

import json
import platform
from pathlib import Path

from webslm.compiler.wasm.zig import run_zig

SOURCE = Path(__file__).parent / "resources" / "driver.c"


def make_driver(folder: Path) -> Path:
    """Build the driver, called as lavapipe's library is, and return its manifest."""
    library = folder / "libvulkan_lvp.so"
    target = ("-target", f"{platform.machine()}-linux-gnu.2.17")
    flags = ("-fPIC", "-O1", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror")
    # Two steps and no C library: zig would build one, the process that loads it has its own.
    for words in (
        ("-c", *flags, SOURCE, "-o", "driver.o"),
        ("-shared", "-nostdlib", "driver.o", "-o", library),
    ):
        run_zig(["cc", *target, *words], cwd=folder, cache=folder / "zig")
    return write_manifest(folder / "lvp_icd.json", str(library))


def write_manifest(path: Path, library: str) -> Path:
    """Write a driver's manifest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"ICD": {"api_version": "1.3.0", "library_path": library}}))
    return path
