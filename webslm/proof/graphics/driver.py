"""Own the search for lavapipe, Mesa's Vulkan driver for processors. Load nothing."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

LIBRARY = "libvulkan_lvp"
"""How lavapipe's library is called everywhere; its manifests are not: ``lvp_icd.json``,
``lvp_icd.x86_64.json``, ``lvp_icd.aarch64.json``."""
NAMED_BY = ("VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES")
"""The Vulkan loader's own variables, the newer name first: files, or folders of them."""
MACHINES = {"x86_64": 0x3E, "amd64": 0x3E, "aarch64": 0xB7, "arm64": 0xB7}
"""What an ELF header calls the processors that lavapipe and zig both serve."""


def find_driver(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return what to open for lavapipe: a path, or a name for the dynamic linker; None: not there.

    Manifests that the loader's variables name come first, then its folders in its own order. One
    that is damaged, or whose library is gone or of another processor, is passed over.
    """
    if not sys.platform.startswith("linux") or platform.machine().lower() not in MACHINES:
        return None
    for manifest in _manifests(environment):
        library = _library(manifest)
        if library is not None:
            return library
    return None


def _manifests(environment: Mapping[str, str]) -> Iterator[Path]:
    for variable in NAMED_BY:
        for name in _split(environment.get(variable, "")):
            yield from _in_folder(Path(name)) if Path(name).is_dir() else iter((Path(name),))
    home = Path(environment.get("HOME") or "/")
    folders = [
        environment.get("XDG_CONFIG_HOME") or str(home / ".config"),
        *_split(environment.get("XDG_CONFIG_DIRS") or "/etc/xdg"),
        "/etc",
        environment.get("XDG_DATA_HOME") or str(home / ".local" / "share"),
        *_split(environment.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"),
        # NixOS keeps drivers beside the system's own folders.
        "/run/opengl-driver/share",
    ]
    for folder in folders:
        yield from _in_folder(Path(folder) / "vulkan" / "icd.d")


def _split(names: str) -> list[str]:
    return [name for name in names.split(":") if name]


def _in_folder(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.glob("*.json"))


def _library(manifest: Path) -> str | None:
    try:
        named = json.loads(manifest.read_text(encoding="utf-8"))["ICD"]["library_path"]
        if not Path(named).name.startswith(LIBRARY):
            return None
        # A bare name is the dynamic linker's to find, any other is relative to its manifest.
        if "/" not in named:
            return str(named)
        library = (manifest.resolve().parent / named).resolve()
        return str(library) if _is_ours(library) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_ours(library: Path) -> bool:
    """Tell whether a file is a 64-bit ELF library of this machine's processor."""
    with library.open("rb") as file:
        head = file.read(20)
    machine = MACHINES[platform.machine().lower()]
    return head[:6] == b"\x7fELF\x02\x01" and head[18:20] == machine.to_bytes(2, "little")
