"""Own the kit: a folder that measures builds on any Linux x86-64 machine that has Node.

It holds Dawn's Node module from npm (fetched and checked here, never committed), our driver, and
for every build its site with verify's own harness beside it. ``sh KIT/run.sh`` needs no network.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webslm.basics import fs, proc
from webslm.basics.errors import EnvironmentMismatch, ToolFailed
from webslm.bundle import registry
from webslm.proof.observe import HARNESS

DAWN = "webgpu"
DAWN_VERSION = "0.6.2"
DAWN_INTEGRITY = (
    "sha512-3L4GfmqJLvYUIEWJngEQY+2HQiUlAFkg8+P8NDDj3Xx5hHHIFO/r8JW+ynfqBj7kHN4m"
    "bnwO74uB+lrRtLhp4Q=="
)
DAWN_MODULE = "dist/linux-x64/dawn.node"
DRIVER = ("drive.mjs", "loader.mjs", "page.mjs", "profile.mjs", "speed.mjs", "run.sh")
SWIFTSHADER = Path("/usr/lib/chromium")
"""Debian's Chromium brings a Vulkan loader and a software driver."""
RUN_TIMEOUT_S = 3600.0


def write_kit(kit: Path, jobs: Mapping[str, tuple[Path, Mapping[str, Any]]], tools: Path) -> None:
    """Write the driver, Dawn and every build's site and job.

    Args:
        kit: The folder; what is in it is replaced.
        jobs: By name the bundle and what ``drive.mjs`` is to do with it.
        tools: Where fetched packages are kept.
    """
    kit.mkdir(parents=True, exist_ok=True)
    here = Path(__file__).parent
    for name in DRIVER:
        shutil.copyfile(here / name, kit / name)
    dawn = fetch_dawn(tools)
    for name in (Path(DAWN_MODULE).name, "LICENSE.md"):
        shutil.copyfile(dawn / name, kit / name)
    for name, (bundle, job) in jobs.items():
        shutil.rmtree(kit / "builds" / name, ignore_errors=True)
        site = kit / "builds" / name / "site"
        fs.copy_tree(bundle, site)
        fs.copy_tree(HARNESS, site / "__verify__")
        fs.write_text(kit / "builds" / name / "job.json", json.dumps(job))


def fetch_dawn(tools: Path) -> Path:
    """Return a folder with Dawn's Node module and its licence.

    Raises:
        EnvironmentMismatch: This is no Linux x86-64, or the archive is not to be had or not
            the pinned one.
    """
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise EnvironmentMismatch("bench.dawn: only Linux x86-64 is written down here")
    folder = tools / f"{DAWN}-{DAWN_VERSION}"
    if (folder / "dawn.node").is_file():
        return folder
    tools.mkdir(parents=True, exist_ok=True)
    with fs.temporary_dir(tools, "dawn") as work:
        archive = work / f"{DAWN}-{DAWN_VERSION}.tgz"
        try:
            registry.download(DAWN, DAWN_VERSION, archive)
        except registry.NotFetched as exc:
            raise EnvironmentMismatch(f"{DAWN} cannot be fetched: {exc}") from exc
        digest = hashlib.sha512(archive.read_bytes()).digest()
        if f"sha512-{base64.b64encode(digest).decode()}" != DAWN_INTEGRITY:
            raise EnvironmentMismatch(f"{archive.name}: not the pinned archive; do not use it")
        unpacked = work / "unpacked"
        unpacked.mkdir()
        with tarfile.open(archive) as tar:
            for name in (DAWN_MODULE, "LICENSE.md"):
                source = tar.extractfile(f"package/{name}")
                assert source is not None
                with source, (unpacked / Path(name).name).open("wb") as file:
                    shutil.copyfileobj(source, file)
        unpacked.rename(folder)
    return folder


def run_kit(kit: Path, results: Path, *, software: bool) -> None:
    """Run every job of a kit on this machine.

    Raises:
        EnvironmentMismatch: Node, a Vulkan driver or the software driver is absent.
    """
    env = dict(os.environ)
    if software:
        driver = SWIFTSHADER / "vk_swiftshader_icd.json"
        if not driver.is_file():
            raise EnvironmentMismatch(
                f"bench.dawn: no software Vulkan driver at {driver}",
                hint="install Debian's chromium, or name a driver with VK_DRIVER_FILES",
            )
        env |= {"VK_DRIVER_FILES": str(driver), "LD_LIBRARY_PATH": str(SWIFTSHADER)}
    results.mkdir(parents=True, exist_ok=True)
    try:
        proc.run(["sh", kit / "run.sh", results], env=env, timeout=RUN_TIMEOUT_S)
    except ToolFailed as exc:
        raise EnvironmentMismatch(f"bench.dawn: {exc.message}", hint=exc.tail[-600:]) from exc
