"""The Dockerfile without an engine: what it copies is there, what it runs does what it should."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from webslm.basics.paths import PACKAGE
from webslm.engine.lock.file import check_lock

CHECKOUT = PACKAGE.parent
NOT_RUN = {
    "apt-get": "changes the system",
    "useradd": "changes the system",
    "pip install --no-cache-dir ./src": "installs a gigabyte",
}


def instructions() -> list[tuple[str, str]]:
    """Return (instruction, argument) of the Dockerfile, continued lines joined."""
    text = (CHECKOUT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def stage(name: str) -> list[tuple[str, str]]:
    """Return the instructions of one build stage."""
    found: list[tuple[str, str]] = []
    inside = False
    for kind, rest in instructions():
        if kind == "FROM":
            inside = rest.endswith(f" AS {name}")
        elif inside:
            found.append((kind, rest))
    return found


def shell(words: str, folder: Path, python: Path) -> str:
    """Run a RUN instruction with ``python`` in front; return what it printed."""
    env = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ("sh", "-c", words), cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_images_are_pinned_by_tag_and_run_without_rights() -> None:
    bases = [rest.split()[0] for kind, rest in instructions() if kind == "FROM"]
    assert bases
    assert all(re.fullmatch(r"python:3\.\d+-slim-\w+", base) for base in bases)
    for name in ("build", "serve"):
        users = [rest for kind, rest in stage(name) if kind == "USER"]
        assert users[-1:] == ["webslm"]
    assert instructions()[-1][0] == "CMD"


def test_every_copied_path_is_there_and_not_ignored() -> None:
    kept = {
        line.removeprefix("!")
        for line in (CHECKOUT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    copies = [rest.split() for kind, rest in instructions() if kind == "COPY"]
    sources = {word for words in copies if "--from=build" not in words for word in words[1:-1]}
    assert sources == kept
    assert all((CHECKOUT / source).exists() for source in sources)


@pytest.mark.slow
def test_steps_make_a_demo_that_a_bare_python_serves(medical: Path, tmp_path: Path) -> None:
    src = tmp_path / "src"
    src.mkdir()
    for kind, rest in stage("build"):
        if kind == "COPY":
            *sources, target = rest.split()[1:]
            for source in sources:
                name = source if target == "src/" else Path(target).name
                (src / name).symlink_to(CHECKOUT / source)
    runs = [rest for kind, rest in stage("build") if kind == "RUN"]
    todo = [words for words in runs if not any(part in words for part in NOT_RUN)]
    assert len(runs) - len(todo) == len(NOT_RUN)
    wheel, demo = todo
    # The image has a network for the build backend; here it is installed.
    offline = wheel.replace("pip wheel", "pip wheel --no-build-isolation --no-index -q")
    shell(offline, tmp_path, Path(sys.executable))
    # Stored steps stand for the minutes of a build from nothing.
    shell(demo, tmp_path, Path(sys.executable))
    assert check_lock(tmp_path / "demo") > 10

    subprocess.run((sys.executable, "-m", "venv", tmp_path / "bare"), check=True)
    bare = tmp_path / "bare" / "bin" / "python"
    (install,) = [rest for kind, rest in stage("serve") if kind == "RUN" and "pip" in rest]
    shell(install.replace("pip install", "python -m pip install -q --no-index"), tmp_path, bare)
    check_served(tmp_path, bare)


def check_served(folder: Path, python: Path) -> None:
    """Run CMD on a free port and hold HEALTHCHECK to it."""
    found = dict(stage("serve"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [str(python), *json.loads(found["CMD"])[1:-1], port]
    health = found["HEALTHCHECK"].removeprefix("CMD ").replace("8000", port)
    check: Sequence[str] = [str(python), *json.loads(health)[1:]]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            server.stdout.readline()
            assert subprocess.run(check, env=env, check=False).returncode == 0
        finally:
            server.terminate()
    assert subprocess.run(check, env=env, capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize("words", [rest for kind, rest in instructions() if kind == "RUN"])
def test_shell_parses(words: str) -> None:
    assert shlex.split(words)
    assert subprocess.run(("sh", "-n", "-c", words), check=False).returncode == 0
