"""The stand-in: its bytes, and what it says in lavapipe's place, through Vulkan's own calls."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vulkan_driver import make_driver
from webslm.basics.fs import tree_files
from webslm.basics.paths import PACKAGE
from webslm.proof.graphics.stand_in import REDIRECT, STAND_IN, build_stand_in

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"),
    reason="brought in on Linux only",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the libraries and a driver of our own."""
    folder = tmp_path_factory.mktemp("built")
    make_driver(folder)
    libraries = build_stand_in(folder / "a folder with spaces").folder
    for name in (REDIRECT, STAND_IN):
        (folder / name).symlink_to(libraries / name)
    return folder


def run_python(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(PACKAGE.parent), **variables}
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("variables", [{}, {"DRIVER_INDEXING": "1"}], ids=["22.3", "25.0"])
def test_it_announces_indexing_asks_for_none_and_poses_by_two_ids(
    built: Path, variables: dict[str, str]
) -> None:
    driver = str(built / "libvulkan_lvp.so")
    library = str(built / STAND_IN)
    done = run_python("-m", "tests.vulkan_calls", library, WEBSLM_LAVAPIPE=driver, **variables)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    for suffix in ("", "2", "2KHR"):
        assert seen[f"features{suffix}"] == [0, 33, 34, 35, 36]
        assert seen[f"ids{suffix}"] == [1, 2, 0x1AE0, 0xC0DE]
    # The driver refuses a device with a feature that it has not, in the chain or beside it.
    assert (seen["plain"], seen["chain"]) == (0, 0)
    assert seen["asked as before"]
    assert seen["unknown"]


@pytest.mark.parametrize("variables", [{"WEBSLM_LAVAPIPE": "/none/libvulkan_lvp.so"}, {}])
def test_driver_that_does_not_load_is_told(built: Path, variables: dict[str, str]) -> None:
    done = run_python("-m", "tests.vulkan_calls", str(built / STAND_IN), **variables)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("webslm: lavapipe does not load: ")
    assert len(done.stderr.splitlines()) == 1


def test_same_sources_give_the_same_bytes_wherever_they_are_built(
    built: Path, tmp_path: Path
) -> None:
    here = build_stand_in(tmp_path / "here")
    there = build_stand_in(built / "a folder with spaces")
    assert here.sha256 == there.sha256
    first, second = (
        [path.read_bytes() for path in tree_files(one.folder)] for one in (here, there)
    )
    assert first == second


def contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in tree_files(folder)]


@pytest.mark.parametrize(("machine", "code"), [("x86_64", 0x3E), ("arm64", 0xB7)])
def test_each_processor_gets_its_own(tmp_path: Path, machine: str, code: int) -> None:
    folder = build_stand_in(tmp_path, machine).folder
    for name in (REDIRECT, STAND_IN):
        head = (folder / name).read_bytes()[:20]
        assert (head[:6], head[18]) == (b"\x7fELF\x02\x01", code)


def test_redirect_answers_swiftshader_and_nothing_else(built: Path) -> None:
    """Who calls here is Python, no Vulkan loader."""
    script = (
        "import ctypes\n"
        "own = ctypes.CDLL('/none/libvk_swiftshader.so')\n"
        "print(hasattr(own, 'vkGetInstanceProcAddr'))\n"
        "try:\n"
        "    ctypes.CDLL('/none/libvk_other.so')\n"
        "except OSError as exc:\n"
        "    print('cannot open' in str(exc))\n"
    )
    variables = {
        "LD_PRELOAD": REDIRECT,
        "LD_LIBRARY_PATH": str(built),
        "WEBSLM_STAND_IN": str(built / STAND_IN),
        "WEBSLM_LAVAPIPE": str(built / "libvulkan_lvp.so"),
    }
    done = run_python("-c", script, **variables)
    assert done.stdout.split() == ["True", "True"], done.stderr
