from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from webslm.basics.fs import (
    copy_tree,
    fresh_dir,
    link_or_copy,
    temporary_dir,
    tree_bytes,
    tree_files,
    write_text,
)
from webslm.basics.proc import run


def test_write_text_leaves_the_old_file_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock.json"
    write_text(path, "old")

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["lock.json"]


def test_copy_tree_keeps_names_and_bytes(tmp_path: Path) -> None:
    source = tmp_path / "a"
    write_text(source / "x" / "y.txt", "hé")
    write_text(source / "b.txt", "2")
    copy_tree(source, tmp_path / "c")
    names = [path.relative_to(tmp_path / "c").as_posix() for path in tree_files(tmp_path / "c")]
    assert names == ["b.txt", "x/y.txt"]
    assert tree_bytes(tmp_path / "c") == 4


def test_link_or_copy_falls_back_to_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "a", "1")

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    link_or_copy(tmp_path / "a", tmp_path / "deep" / "b")
    assert (tmp_path / "deep" / "b").read_text() == "1"


def test_temporary_dir_is_gone_afterwards(tmp_path: Path) -> None:
    with temporary_dir(tmp_path, "work") as folder:
        (folder / "x").write_text("1")
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_fresh_dir_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from webslm.basics.fs import fresh_dir\n"
    script += "print(fresh_dir(Path(sys.argv[1]), 'work'))"
    left = Path(run([sys.executable, "-c", script, tmp_path]).strip())
    assert left.is_dir()
    mine = fresh_dir(tmp_path, "work")
    other = fresh_dir(tmp_path, "work")
    assert not left.exists()
    assert mine.is_dir()
    assert other.is_dir()
