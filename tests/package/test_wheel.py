"""The wheel, installed where no checkout is: configuration, data, page and headers come along."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import urllib.request
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.integration.conftest import SMALL, read_report
from webslm.basics.paths import PACKAGE
from webslm.engine.table import STAGE_NAMES

CHECKOUT = PACKAGE.parent


def run(words: Sequence[str | Path], cwd: Path, cache: Path) -> str:
    """Run a program that must succeed, without this checkout on its path; return its output."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env["WEBSLM_CACHE"] = str(cache)
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the pinned hatchling, offline."""
    folder = tmp_path_factory.mktemp("wheel")
    flags = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    words = (sys.executable, "-m", "pip", "wheel", "-q", *flags, "-w", folder, CHECKOUT)
    run(words, folder, folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a fresh environment that sees this one's other packages."""
    folder = tmp_path_factory.mktemp("installed")
    run((sys.executable, "-m", "venv", "--without-pip", folder / "env"), folder, folder)
    python = folder / "env" / "bin" / "python"
    flags = ("--no-deps", "--no-index", "--disable-pip-version-check")
    pip = (sys.executable, "-m", "pip", "--python", python)
    run((*pip, "install", "-q", *flags, wheel), folder, folder)
    # A folder named in a .pth is searched last and its own .pth files (the editable install of
    # this checkout) are not read.
    (site,) = (folder / "env").glob("lib/python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return python


def shipped(folder: Path, prefix: str) -> set[str]:
    """Return the files below a folder of the checkout as the wheel should name them."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        f"{prefix}/{path.relative_to(folder).as_posix()}"
        for path in files
        if "__pycache__" not in path.parts
    }


def test_wheel_holds_the_package_and_the_configuration_and_nothing_else(wheel: Path) -> None:
    wanted = shipped(PACKAGE, "webslm") | shipped(CHECKOUT / "conf", "webslm/conf")
    wanted |= shipped(CHECKOUT / "recipes", "webslm/recipes")
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert found == wanted
    folders = ("conf/domain", "recipes", "data/medical", "site", "proof/page")
    for folder in (*folders, "compiler/wasm/overlay"):
        assert any(name.startswith(f"webslm/{folder}/") for name in found), folder


def test_wheel_finds_everything_inside_itself(python: Path, tmp_path: Path) -> None:
    script = (
        "from webslm.basics import paths\n"
        "for path in (paths.PACKAGE, paths.conf_dir(), paths.recipes_dir(), paths.site_dir()):\n"
        "    assert path.is_dir()\n"
        "    print(path)\n"
    )
    for line in run((python, "-c", script), tmp_path, tmp_path).splitlines():
        assert Path(line).is_relative_to(python.parent.parent), line


def test_wheel_shows_its_configuration(python: Path, tmp_path: Path) -> None:
    words = ("-m", "webslm", "--cfg", "job", "domain=legal")
    shown = run((python, *words), tmp_path, tmp_path)
    assert "title: Legal information assistant" in shown
    assert list(tmp_path.iterdir()) == []


def test_wheel_plans_what_the_checkout_plans(python: Path, tmp_path: Path) -> None:
    words = ("-m", "webslm", "dry_run=true")
    (tmp_path / "empty").mkdir()
    installed = run((python, *words), tmp_path / "empty", tmp_path / "cache")
    # convert_base is for pages that compare, calibrate for quant=auto, align for pairs,
    # scale for scale=awq, compile_f16 for precision=both.
    assert installed.count(" run ") == len(STAGE_NAMES) - 5
    assert installed == run((sys.executable, *words), CHECKOUT, tmp_path / "cache")


def test_wheel_reads_the_shipped_rows(python: Path, tmp_path: Path) -> None:
    webslm = python.parent / "webslm"
    run((webslm, "until=data", "output_dir=out"), tmp_path, tmp_path / "cache")
    assert read_report(tmp_path / "out")["metrics"]["data"]["train"]["rows"] > 60


@pytest.mark.slow
@pytest.mark.browser
def test_wheel_takes_a_new_project_to_a_served_and_checked_site(
    python: Path, tmp_path: Path, own_cache: Path
) -> None:
    webslm = python.parent / "webslm"
    run((webslm, "init", "garden"), tmp_path, own_cache)
    project = tmp_path / "garden"
    # Too small to learn its rows; the browser must still say what torch says.
    run((webslm, "recipe=garden", *SMALL, "verify.min_answers=0"), project, own_cache)
    output = project / "outputs" / "garden"
    checked = run((webslm, "lock", "check", output), project, own_cache)
    assert "files are as the lock says" in checked
    words = (webslm, "serve", output / "bundle", "--port", "0")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())
            assert found is not None
            with urllib.request.urlopen(found.group(), timeout=20) as reply:
                assert "garden" in reply.read().decode()
        finally:
            server.terminate()
