"""Own what is started for a choice of graphics: flags, environment, and the adapter's true name."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from webslm.basics import paths
from webslm.basics.errors import EnvironmentMismatch, WebslmError
from webslm.proof.graphics.driver import NAMED_BY, find_driver
from webslm.proof.graphics.stand_in import REDIRECT, STAND_IN, StandIn, build_stand_in
from webslm.schema import Graphics

WEBGPU = "--enable-unsafe-webgpu"
SWIFTSHADER = (WEBGPU, "--use-webgpu-adapter=swiftshader")
LAVAPIPE = (
    *SWIFTSHADER,
    # The adapter then tells which driver it is: the proof's only way to know what computed it.
    "--enable-webgpu-developer-features",
    # In its sandbox the graphics process cannot load LLVM and dies; the page's own one stays.
    "--disable-gpu-sandbox",
)
# Chromium on Linux reaches a GPU through Vulkan only, and not by default.
HARDWARE = (WEBGPU, "--enable-features=Vulkan", "--ignore-gpu-blocklist")
SHADERS = "MESA_SHADER_CACHE_DIR"
INSTALL = "apt-get install mesa-vulkan-drivers"
_SOFTWARE = re.compile(r"swiftshader|llvmpipe|lavapipe|\bsoftware\b|basic render", re.IGNORECASE)
_MESA = re.compile(r"\bMesa \S+")
_LLVM = re.compile(r"\bLLVM [\d.]+(?:, \d+ bits)?")


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Graphics that a browser can be started with."""

    graphics: Graphics
    """Never ``auto``."""
    flags: tuple[str, ...]
    environment: Mapping[str, str]
    """The browser's whole environment."""
    stand_in: StandIn | None = None
    refused: str | None = None
    """Why ``auto`` did not take the lavapipe that is there."""


def choose(graphics: Graphics) -> Chosen:
    """Return what to start; builds the stand-in at its first use.

    Raises:
        EnvironmentMismatch: lavapipe was asked for and is not there, or cannot be brought in.
    """
    if graphics is Graphics.hardware:
        return Chosen(graphics=graphics, flags=HARDWARE, environment=dict(os.environ))
    driver = None if graphics is Graphics.swiftshader else find_driver()
    if driver is None:
        if graphics is Graphics.lavapipe:
            raise EnvironmentMismatch(
                "verify.graphics=lavapipe: Mesa's driver is not installed on this machine",
                hint=f"{INSTALL} (Debian, as root), or verify.graphics=auto",
            )
        return _swiftshader()
    try:
        stand_in = build_stand_in(_folder())
    except WebslmError as exc:
        if graphics is Graphics.lavapipe:
            raise
        return _swiftshader(refused=exc.message)
    return Chosen(
        graphics=Graphics.lavapipe,
        flags=LAVAPIPE,
        environment=_environment(driver, stand_in),
        stand_in=stand_in,
    )


def _swiftshader(refused: str | None = None) -> Chosen:
    environment = _without_drivers()
    return Chosen(
        graphics=Graphics.swiftshader, flags=SWIFTSHADER, environment=environment, refused=refused
    )


def _environment(driver: str, stand_in: StandIn) -> dict[str, str]:
    """Return the environment that brings ``driver`` in."""
    return _without_drivers() | {
        # By name and search path: LD_PRELOAD cannot say a folder with a space.
        "LD_PRELOAD": _before(REDIRECT, "LD_PRELOAD"),
        "LD_LIBRARY_PATH": _before(str(stand_in.folder), "LD_LIBRARY_PATH"),
        "WEBSLM_STAND_IN": str(stand_in.folder / STAND_IN),
        "WEBSLM_LAVAPIPE": driver,
        # Compiled shaders are most of the time to a first token; the home folder is not ours.
        SHADERS: os.environ.get(SHADERS) or str(_folder() / "shaders"),
    }


def _folder() -> Path:
    return paths.cache_dir() / "tools" / "graphics"


def _without_drivers() -> dict[str, str]:
    """Return the environment without words that would take the page's own drawing elsewhere."""
    return {name: value for name, value in os.environ.items() if name not in NAMED_BY}


def _before(first: str, variable: str) -> str:
    rest = os.environ.get(variable)
    return f"{first}:{rest}" if rest else first


def true_name(info: Mapping[str, str], chosen: Chosen) -> str:
    """Return what computes, by an adapter's ``vendor, architecture, device, description, driver``.

    lavapipe comes under SwiftShader's vendor; its driver's own words and the stand-in's digest
    take that name's place.

    Raises:
        EnvironmentMismatch: lavapipe was to compute and the browser took another driver.
    """
    words = [info.get(key, "") for key in ("vendor", "architecture", "device", "description")]
    seen = " ".join(word for word in words if word)
    if chosen.stand_in is None:
        return seen
    told = f"{info.get('description', '')} {info.get('driver', '')}"
    if "llvmpipe" not in told:
        raise EnvironmentMismatch(
            f"graphics: the browser did not take lavapipe, but {told.strip() or seen}",
            hint="verify.graphics=swiftshader, or a browser that is no snap: verify.browser=PATH",
        )
    parts = [found.group() for pattern in (_MESA, _LLVM) if (found := pattern.search(told))]
    return f"lavapipe ({', '.join(parts)}; stand-in {chosen.stand_in.sha256[:16]})"


def is_software(name: str) -> bool:
    """Tell whether an adapter's name is that of a driver that computes on the processor."""
    return _SOFTWARE.search(name) is not None


def features_hint(used: Graphics) -> str:
    """Return how a machine gets an adapter with the features that ``used`` lacks."""
    ways = ["quant=q4f32_1 runs on every adapter"]
    if used is not Graphics.hardware:
        ways.append("verify.graphics=hardware uses this machine's GPU")
    if used is Graphics.swiftshader and find_driver():
        ways.insert(0, "verify.graphics=lavapipe has it")
    elif used is Graphics.swiftshader:
        ways.insert(0, f"{INSTALL} (Debian, as root) brings lavapipe, which has it")
    return "; ".join(ways)
