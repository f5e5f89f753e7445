"""The wheel and the sdist on every supported interpreter at hand, with what their metadata ask."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from tests.package.test_wheel import CHECKOUT, run, wheel

__all__ = ["wheel"]

MINORS = (10, 11, 12, 13)
EXTRAS = {"all", "train", "compile", "browser", "sweep", "ray", "qlora", "docs", "dev"}
CORE = (
    *("filelock", "fsspec", "httpx2", "hydra-core", "jinja2", "markupsafe", "omegaconf"),
    *("packaging", "psutil", "pyyaml", "rich"),
)
"""What composes, plans, checks locks, keeps the store and serves."""
SDIST = "import sys; from hatchling.build import build_sdist; build_sdist(sys.argv[1])"


def interpreter(minor: int) -> Path | None:
    """Return a CPython of that version that starts, None when there is none."""
    named = shutil.which(f"python3.{minor}")
    installed = Path.home() / ".pyenv" / "versions"
    for found in (named, *installed.glob(f"3.{minor}.*/bin/python")):
        words = (str(found), "-c", "import sys; print(sys.version_info[1])")
        if found and subprocess.run(words, capture_output=True, check=False).stdout.split() == [
            str(minor).encode()
        ]:
            return Path(found)
    return None


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    run((sys.executable, "-c", SDIST, folder), CHECKOUT, folder)
    (found,) = folder.glob("*.tar.gz")
    return found


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(archive.read(name))


def test_metadata_names_versions_extras_and_licence(metadata: Message) -> None:
    assert set(metadata.get_all("Provides-Extra") or []) == EXTRAS
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == "<3.14,>=3.10"


def test_plain_install_brings_what_a_build_needs(metadata: Message) -> None:
    lines = metadata.get_all("Requires-Dist") or []
    asked = [line for line in lines if "extra ==" not in line]
    assert sorted(line for line in asked if line.startswith("webslm")) == [
        "webslm[browser,compile,train]"
    ]
    assert {re.split(r"[^\w-]", line)[0].lower() for line in asked} == {*CORE, "webslm"}


def test_sdist_gives_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    flags = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    words = (sys.executable, "-m", "pip", "wheel", "-q", *flags, "-w", tmp_path / "out", source)
    run(words, tmp_path, tmp_path)
    (again,) = (tmp_path / "out").glob("*.whl")
    assert contents(again) == contents(wheel)


def contents(path: Path) -> dict[str, int]:
    """Return name to checksum of a wheel's files."""
    with zipfile.ZipFile(path) as archive:
        return {item.filename: item.CRC for item in archive.infolist()}


@pytest.mark.slow
@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_resolves_whole_and_plans_with_its_core_alone(
    minor: int, kind: str, metadata: Message, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """With the versions that the metadata ask for, from pip's own index."""
    found = interpreter(minor)
    if found is None:
        pytest.skip(f"no CPython 3.{minor} here")
    package: Path = request.getfixturevalue(kind)
    run((found, "-m", "venv", tmp_path / "env"), tmp_path, tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    pip = (python, "-m", "pip", "--disable-pip-version-check")
    report = tmp_path / "report.json"
    run((*pip, "install", "-q", "--dry-run", "--report", report, package), tmp_path, tmp_path)
    planned = json.loads(report.read_text(encoding="utf-8"))["install"]
    names = {item["metadata"]["name"].lower() for item in planned}
    assert {*CORE, "webslm", "torch", "apache-tvm", "ziglang", "playwright"} <= names
    core = [
        line
        for line in metadata.get_all("Requires-Dist") or []
        if "extra ==" not in line and not line.startswith("webslm")
    ]
    run((*pip, "install", "-q", *core), tmp_path, tmp_path)
    assert "No broken requirements" in run((*pip, "check"), tmp_path, tmp_path)
    run((*pip, "install", "-q", "--no-deps", package), tmp_path, tmp_path)
    webslm = python.parent / "webslm"
    assert "exit codes" in run((webslm, "--help"), tmp_path, tmp_path)
    shown = run((webslm, "recipe=medical_tiny", "dry_run=true"), tmp_path, tmp_path / "cache")
    assert shown.count(" run ") >= 10
    words = (webslm, "until=convert", "output_dir=out")
    refused = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert refused.returncode == 3
    for missing in ("datasketch", "torch"):
        assert f"{missing} is not installed" in refused.stderr
    lacking = subprocess.run((webslm, "doctor"), cwd=tmp_path, capture_output=True, check=False)
    assert lacking.returncode == 3
    assert b"Traceback" not in lacking.stderr
