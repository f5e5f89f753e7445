"""Which graphics a browser is started with, and what they are called."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import pytest

from tests.vulkan_driver import write_manifest
from webslm.basics.errors import EnvironmentMismatch
from webslm.proof.graphics import choice
from webslm.proof.graphics.choice import choose, features_hint, is_software, true_name
from webslm.proof.graphics.driver import find_driver
from webslm.proof.graphics.stand_in import StandIn
from webslm.schema import Graphics

HEAD = b"\x7fELF\x02\x01".ljust(18, b"\0")
MACHINE = {"x86_64": b"\x3e\0", "aarch64": b"\xb7\0"}
OTHER = {"x86_64": "aarch64", "aarch64": "x86_64"}
INFO = {
    "vendor": "google",
    "architecture": "swiftshader",
    "device": "0xc0de",
    "description": "llvmpipe (LLVM 15.0.6, 256 bits)",
    "driver": "llvmpipe: Mesa 22.3.6 (LLVM 15.0.6) 0.0.1",
}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Mesa's driver is for Linux")


@pytest.fixture
def nothing(tmp_path: Path) -> dict[str, str]:
    """An environment whose own driver folders are empty."""
    names = ("HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_DATA_HOME", "XDG_DATA_DIRS")
    return {name: str(tmp_path / "empty") for name in names}


def write_library(path: Path, machine: str | None = None, head: bytes = HEAD) -> Path:
    """Write the beginning of an ELF library."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + MACHINE[machine or platform.machine()] + bytes(40))
    return path


@pytest.mark.parametrize(
    "name", ["lvp_icd.json", "lvp_icd.x86_64.json", "lvp_icd.aarch64.json", "own.json"]
)
def test_driver_is_found_whatever_its_manifest_is_called(
    tmp_path: Path, nothing: dict[str, str], name: str
) -> None:
    library = write_library(tmp_path / "lib" / "libvulkan_lvp.so")
    write_manifest(tmp_path / "share" / "vulkan" / "icd.d" / name, str(library))
    assert find_driver(nothing | {"XDG_DATA_DIRS": f"/none:{tmp_path / 'share'}"}) == str(library)


def test_relative_and_bare_library_names_are_read_as_the_loader_does(
    tmp_path: Path, nothing: dict[str, str]
) -> None:
    library = write_library(tmp_path / "lib" / "libvulkan_lvp.so.1")
    named = write_manifest(tmp_path / "icd.d" / "a.json", "../lib/libvulkan_lvp.so.1")
    assert find_driver(nothing | {"VK_DRIVER_FILES": str(named)}) == str(library)
    bare = write_manifest(tmp_path / "icd.d" / "b.json", "libvulkan_lvp.so")
    assert find_driver(nothing | {"VK_ICD_FILENAMES": str(bare)}) == "libvulkan_lvp.so"


def test_loaders_variables_come_first_and_may_name_folders(
    tmp_path: Path, nothing: dict[str, str]
) -> None:
    for name in ("system/vulkan/icd.d", "own"):
        library = write_library(tmp_path / name / "libvulkan_lvp.so")
        write_manifest(tmp_path / name / "lvp.json", str(library))
    words = nothing | {"XDG_DATA_DIRS": str(tmp_path / "system")}
    assert "system" in str(find_driver(words))
    assert "/own/" in str(find_driver(words | {"VK_DRIVER_FILES": str(tmp_path / "own")}))
    # Another vendor's manifest says where Vulkan shall compute, nothing of our proof.
    nvidia = write_manifest(tmp_path / "nvidia_icd.json", "libGLX_nvidia.so.0")
    assert "system" in str(find_driver(words | {"VK_ICD_FILENAMES": str(nvidia)}))


def damaged(folder: Path) -> None:
    (folder / "lvp_icd.json").write_text("{ICD")


def no_icd(folder: Path) -> None:
    (folder / "layers.json").write_text('{"layer": {"library_path": "libvulkan_lvp.so"}}')


def a_list(folder: Path) -> None:
    (folder / "list.json").write_text('["libvulkan_lvp.so"]')


def library_is_gone(folder: Path) -> None:
    write_manifest(folder / "lvp_icd.json", "/none/libvulkan_lvp.so")


def of_another_processor(folder: Path) -> None:
    library = write_library(folder / "libvulkan_lvp.so", OTHER[platform.machine()])
    write_manifest(folder / "lvp_icd.json", str(library))


def of_32_bits(folder: Path) -> None:
    library = write_library(folder / "libvulkan_lvp.so", head=HEAD[:4] + b"\1" + HEAD[5:])
    write_manifest(folder / "lvp_icd.i686.json", str(library))


def no_library(folder: Path) -> None:
    (folder / "libvulkan_lvp.so").write_text("INPUT(libvulkan.so)")
    write_manifest(folder / "lvp_icd.json", "./libvulkan_lvp.so")


def a_graphics_chips(folder: Path) -> None:
    library = write_library(folder / "libvulkan_radeon.so")
    write_manifest(folder / "radeon_icd.x86_64.json", str(library))


@pytest.mark.parametrize(
    "write",
    [
        *(damaged, no_icd, a_list, library_is_gone, of_another_processor, of_32_bits),
        *(no_library, a_graphics_chips),
    ],
)
def test_manifest_of_no_use_is_passed_over(
    tmp_path: Path, nothing: dict[str, str], write: object
) -> None:
    assert callable(write)
    folder = tmp_path / "vulkan" / "icd.d"
    folder.mkdir(parents=True)
    write(folder)
    assert find_driver(nothing | {"XDG_DATA_DIRS": str(tmp_path)}) is None
    good = write_library(tmp_path / "libvulkan_lvp.so")
    write_manifest(folder / "z.json", str(good))
    assert find_driver(nothing | {"XDG_DATA_DIRS": str(tmp_path)}) == str(good)


def test_other_systems_have_no_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library = write_library(tmp_path / "libvulkan_lvp.so")
    words = {"VK_DRIVER_FILES": str(write_manifest(tmp_path / "lvp.json", str(library)))}
    assert find_driver(words) is not None
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert find_driver(words) is None
    monkeypatch.undo()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert find_driver(words) is None


def test_lavapipe_asked_for_and_absent_is_told_with_what_to_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choice, "find_driver", lambda: None)
    with pytest.raises(EnvironmentMismatch, match="Mesa's driver is not installed") as caught:
        choose(Graphics.lavapipe)
    assert "apt-get install mesa-vulkan-drivers" in str(caught.value.hint)
    assert choose(Graphics.auto) == choose(Graphics.swiftshader)
    assert choose(Graphics.auto).refused is None
    assert "apt-get install mesa-vulkan-drivers" in features_hint(Graphics.swiftshader)
    assert "apt-get" not in features_hint(Graphics.hardware)


def test_folder_that_cannot_be_written_leaves_swiftshader_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("WEBSLM_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(choice, "find_driver", lambda: "libvulkan_lvp.so")
    chosen = choose(Graphics.auto)
    assert chosen.graphics is Graphics.swiftshader
    assert "cannot be written" in str(chosen.refused)
    with pytest.raises(EnvironmentMismatch, match="cannot be written") as caught:
        choose(Graphics.lavapipe)
    assert "WEBSLM_CACHE=" in str(caught.value.hint)


def test_browser_keeps_the_users_environment_but_for_drivers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WEBSLM_CACHE", str(tmp_path))
    monkeypatch.delenv("MESA_SHADER_CACHE_DIR", raising=False)
    monkeypatch.setenv("LD_PRELOAD", "libmine.so")
    monkeypatch.setenv("VK_DRIVER_FILES", "/mine/icd.json")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/mine:/theirs")
    monkeypatch.setattr(choice, "find_driver", lambda: "/lib/libvulkan_lvp.so")
    built = StandIn(folder=tmp_path, sha256="0" * 64)
    monkeypatch.setattr(choice, "build_stand_in", lambda _folder: built)
    chosen = choose(Graphics.auto)
    assert chosen.graphics is Graphics.lavapipe
    assert chosen.environment["PATH"] == os.environ["PATH"]
    assert "VK_DRIVER_FILES" not in chosen.environment
    assert (
        chosen.environment.items()
        >= {
            "LD_PRELOAD": "libwebslm_redirect.so:libmine.so",
            "LD_LIBRARY_PATH": f"{tmp_path}:/mine:/theirs",
            "WEBSLM_STAND_IN": str(tmp_path / "libwebslm_stand_in.so"),
            "WEBSLM_LAVAPIPE": "/lib/libvulkan_lvp.so",
            "MESA_SHADER_CACHE_DIR": str(tmp_path / "tools" / "graphics" / "shaders"),
        }.items()
    )


def lavapipe() -> choice.Chosen:
    stand_in = StandIn(folder=Path("/none"), sha256="0123456789abcdef" * 4)
    return choice.Chosen(graphics=Graphics.lavapipe, flags=(), environment={}, stand_in=stand_in)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({}, "Mesa 22.3.6, LLVM 15.0.6, 256 bits"),
        (
            {
                "description": "llvmpipe (LLVM 19.1.7, 128 bits)",
                "driver": "llvmpipe: Mesa 25.0.7-2+deb13u1 (LLVM 19.1.7) 25.0.7",
            },
            "Mesa 25.0.7-2+deb13u1, LLVM 19.1.7, 128 bits",
        ),
    ],
)
def test_lavapipe_goes_by_its_own_name(told: dict[str, str], name: str) -> None:
    seen = true_name(INFO | told, lavapipe())
    assert seen == f"lavapipe ({name}; stand-in 0123456789abcdef)"
    assert "swiftshader" not in seen
    assert is_software(seen)


def test_browser_that_took_another_driver_is_not_believed() -> None:
    other = {"description": "SwiftShader Device (Subzero)", "driver": "SwiftShader driver 5.0.0"}
    with pytest.raises(EnvironmentMismatch, match="did not take lavapipe, but SwiftShader"):
        true_name(INFO | other, lavapipe())


@pytest.mark.parametrize(
    ("name", "software"),
    [
        ("google swiftshader", True),
        ("mesa software", True),
        ("mesa llvmpipe (LLVM 20.1.2, 256 bits)", True),
        ("microsoft basic render driver", True),
        ("nvidia hopper", False),
        ("intel gen-12lp", False),
        ("amd rdna-3 AMD Radeon 780M (RADV PHOENIX)", False),
    ],
)
def test_driver_on_the_processor_is_never_called_a_chip(name: str, software: bool) -> None:
    assert is_software(name) is software
