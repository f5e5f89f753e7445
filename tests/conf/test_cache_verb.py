"""``webslm cache`` as a user types it."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from webslm.cli import main as cli


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with the data stage of two recipes."""
    for recipe in ("medical_tiny", "legal_tiny"):
        webslm(tmp_path, f"recipe={recipe}", "until=data")
    return tmp_path


def webslm(folder: Path, *words: str, code: int = 0, **more: str) -> str:
    """Return what a command shows; in this process, which is the faster."""
    shown = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"WEBSLM_CACHE": str(folder / "cache"), **more}.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
            done = cli.run(list(words))
    assert done == code, shown.getvalue()
    return shown.getvalue()


def test_list_names_what_is_stored(store: Path) -> None:
    shown = webslm(store, "cache", "list")
    assert shown.count("data ") == 2
    assert "2 artifacts" in shown
    assert "0 artifacts" in webslm(store, "cache", "list", "merge")


def test_verify_counts_and_names_damage(store: Path) -> None:
    assert "2 artifacts are whole" in webslm(store, "cache", "verify")
    next(store.glob("cache/artifacts/data/*/files/train.jsonl")).write_text("{}")
    shown = webslm(store, "cache", "verify", code=6)
    assert "train.jsonl" in shown
    assert "quarantine" in shown
    assert "1 artifacts are whole" in webslm(store, "cache", "verify")


def test_gc_keeps_what_recipes_plan(store: Path) -> None:
    webslm(store, "recipe=legal_tiny", "until=data", "seed=5", "output_dir=o")
    assert "would remove 1 artifacts" in webslm(store, "cache", "gc", "--keep-recipes", "--dry-run")
    assert "removed 1 artifacts" in webslm(store, "cache", "gc", "--keep-recipes")
    assert "2 artifacts" in webslm(store, "cache", "list")
    assert "removed 2 artifacts" in webslm(store, "cache", "gc", "--max-size", "0")


def test_export_and_import_carry_a_build_to_another_machine(store: Path, tmp_path: Path) -> None:
    assert "2 artifacts" in webslm(store, "cache", "export", "all.tar")
    other = tmp_path / "other"
    other.mkdir()
    assert "2 artifacts" in webslm(other, "cache", "import", str(store / "all.tar"))
    assert "hit data" in webslm(other, "recipe=legal_tiny", "until=data")


def test_shared_store_saves_the_second_machine_the_work(tmp_path: Path) -> None:
    shared = f"cache.remote={tmp_path}/shared"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    words = ("recipe=legal_tiny", "until=data")
    assert "ran data" in webslm(tmp_path / "one", *words, shared)
    assert "hit data" in webslm(tmp_path / "two", *words, WEBSLM_REMOTE=f"{tmp_path}/shared")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cache"], "required"),
        (["cache", "burn"], "invalid choice"),
        (["cache", "gc"], "say what stays"),
        (["cache", "gc", "--max-size", "lots"], "'lots' is no size"),
        (["cache", "export"], "required"),
        (["cache", "export", "x.tar", "feed"], "nothing stored begins with 'feed'"),
        (["cache", "import", "none.tar"], "No such file"),
        (["until=data", "cache.remote=gopher://x"], "cannot be opened"),
    ],
)
def test_mistakes_are_sentences(tmp_path: Path, words: list[str], message: str) -> None:
    shown = webslm(tmp_path, *words, code=2)
    assert message in shown
    assert "hint:" in shown


def test_import_of_rubbish_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.tar").write_bytes(b"rubbish" * 1000)
    assert "not a whole archive" in webslm(tmp_path, "cache", "import", "bad.tar", code=6)
    assert "0 artifacts" in webslm(tmp_path, "cache", "list")
