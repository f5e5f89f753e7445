"""Every command that README and docs show is run: plans here, builds in `make slow`."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests import gguf_files
from tests.conftest import chat_row
from tests.docs.commands import NOT_RUN, WORDS, Block, Command, blocks
from tests.integration.architecture_models import random_model
from tests.integration.conftest import SMALL, TAUGHT, stored
from webslm.basics.paths import cache_dir, conf_dir
from webslm.cli.main import run
from webslm.cli.verbs.tree import VERBS

BLOCKS = list(blocks())
COMMANDS = [command for block in BLOCKS for command in block.commands]
LONG = ("doctor", "lock reproduce", "lock upgrade")
"""Verbs that take longer than a plan: `make slow` runs them."""
PLAN = "dry_run=true"


def words_of(command: Command) -> tuple[dict[str, str], list[str], str | None]:
    """Return (environment, words after ``python -m webslm``, folder that it goes to)."""
    text, _, folder = command.text.partition(" && cd ")
    words = shlex.split(text, comments=True)
    env = {}
    while re.fullmatch(r"\w+=.*", words[0]):
        name, _, value = words.pop(0).partition("=")
        env[name] = value
    assert words[:3] == ["python", "-m", "webslm"], command
    return env, words[3:], folder or None


def is_build(words: list[str]) -> bool:
    return not (words and words[0] in VERBS) and "--help" not in words and "--cfg" not in words


def is_long(command: Command) -> bool:
    return any(f"webslm {verb}" in command.text for verb in LONG)


@pytest.fixture
def place(taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the pages speak of: a finished build, rows, options, a checkpoint."""
    (tmp_path / "outputs").mkdir()
    for name in (taught.name, "medical-smollm2_135m-q4f32_1"):
        # One build stands in for the other: what its verbs do is the same.
        (tmp_path / "outputs" / name).symlink_to(taught)
    (tmp_path / "my-checkpoint").symlink_to(stored(taught)["base"])
    add_gguf_files(tmp_path)
    rows = [chat_row(f"What is {word}?", "Ask a gardener.") for word in WORDS]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "my.jsonl").write_text(lines, encoding="utf-8")
    shipped = (conf_dir() / "domain" / "medical.yaml").read_text(encoding="utf-8")
    mine = tmp_path / "my_conf" / "domain" / "mine.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text(shipped, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def add_gguf_files(folder: Path) -> None:
    shape = replace(gguf_files.LAYOUTS["smollm2"], max_position_embeddings=4096)
    file = folder / "my-model.gguf"
    gguf_files.write(file, gguf_files.parts(random_model(shape), shape))
    (folder / "my-model.Q4_K_M.gguf").symlink_to(file)
    (folder / "template.jinja").write_text(gguf_files.TEMPLATE, encoding="utf-8")
    with zipfile.ZipFile(folder / "some_model-1.0-py3-none-any.whl", "w") as archive:
        archive.write(file, "some_model/model.gguf")


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that the long commands fill together, with the machine's tool caches."""
    root = tmp_path_factory.mktemp("store")
    (root / "tools").symlink_to(cache_dir() / "tools")
    return root


@pytest.fixture
def small_store(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of one step and its export, for verbs that change it."""
    monkeypatch.setenv("WEBSLM_CACHE", str(place / "store"))
    assert run(["until=data", "output_dir=filled"]) == 0
    assert run(["cache", "export", "steps.tar"]) == 0


def marks(block: Block) -> list[pytest.MarkDecorator]:
    reasons = [command.reason for command in block.commands]
    if all(reasons):
        return [pytest.mark.skip(reason=f"{block.name}: {reasons[0]}")]
    return []


@pytest.mark.parametrize("block", [pytest.param(b, id=b.name, marks=marks(b)) for b in BLOCKS])
def test_commands_do_what_they_say(
    block: Block,
    place: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if any("webslm cache" in command.text for command in block.commands):
        request.getfixturevalue("small_store")
    for command in block.commands:
        if command.reason or is_long(command):
            continue
        env, words, folder = words_of(command)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        if words[:1] == ["serve"]:
            assert "http://127.0.0.1:" in served(words)
            continue
        if any(word.startswith("only=") for word in words):
            # What is stored already is the small build.
            words = [*TAUGHT, *words]
        if is_build(words) and PLAN not in words and not any("explain=" in w for w in words):
            words.append(PLAN)
        capfd.readouterr()
        code = run(words)
        seen = "".join(capfd.readouterr())
        assert code == (2 if any("config error" in line for line in command.output) else 0), seen
        check_output(command, seen)
        if folder:
            monkeypatch.chdir(folder)


def served(words: list[str]) -> str:
    """Return the line that ``serve`` prints when it is ready; stop it."""
    argv = (sys.executable, "-m", "webslm", *words, "--port", "0")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            return server.stdout.readline()
        finally:
            server.terminate()


def check_output(command: Command, seen: str) -> None:
    """Hold what was printed to what the page shows, line by line, ``...`` for anything."""
    flat = " ".join(seen.split())
    for line in command.output:
        parts = (re.escape(" ".join(part.split())) for part in line.split("..."))
        assert re.search(".*".join(parts), flat), f"{command.page}: {line!r} not in {seen}"


def long_ones() -> Iterator[Command]:
    """Yield each distinct command that is more than a plan and can be run here, once."""
    seen: set[str] = set()
    for command in COMMANDS:
        if command.reason or command.text in seen or command.output:
            continue
        seen.add(command.text)
        env, words, _ = words_of(command)
        builds = is_build(words) and PLAN not in words and not any("explain=" in w for w in words)
        planned_only = (
            env
            or "-m" in words
            or any(
                part in command.text
                for part in (
                    "qwen",
                    "gemma",
                    "smollm",
                    "gguf",
                    "fsdp",
                    "recipe=frozen",
                    "recipe=my-",
                )
            )
        )
        if is_long(command) or (builds and not planned_only):
            yield command


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("command", [pytest.param(c, id=c.text[17:]) for c in long_ones()])
def test_long_commands_do_what_they_say(
    command: Command, place: Path, medical: Path, shared_store: Path
) -> None:
    """Builds are made whole with a base that trains in seconds; it learns no rows."""
    _, words, _ = words_of(command)
    cache, output = shared_store, place / "outputs" / medical.name
    # A copy: some of them build into it.
    output.unlink()
    shutil.copytree(medical, output)
    if is_build(words):
        words += ["verify.min_answers=0"]
        if "base=local" not in words:
            words += SMALL
    if is_long(command) or any(word.startswith(("only=", "force=")) for word in words):
        # These need what is stored already.
        cache = cache_dir()
        words = [word for word in words if word not in SMALL]
        if is_build(words) and not any(word.startswith(("base=", "recipe=")) for word in words):
            words.append("base=tiny")
    env = {**os.environ, "WEBSLM_CACHE": str(cache)}
    done = subprocess.run(
        (sys.executable, "-m", "webslm", *words),
        cwd=place,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout


def test_every_reason_is_used() -> None:
    used = {command.reason for command in COMMANDS if command.reason}
    assert used == set(NOT_RUN.values())


def test_most_commands_are_run() -> None:
    assert len(BLOCKS) > 30
    assert sum(command.reason is None for command in COMMANDS) >= 0.8 * len(COMMANDS)
