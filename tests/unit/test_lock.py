from __future__ import annotations

from pathlib import Path

import pytest

from webslm.errors import CacheCorrupt, ConfigError
from webslm.keys import file_digest
from webslm.lock import LOCK_NAME, SCHEMA, check_lock, read_lock, write_lock


@pytest.fixture
def output(tmp_path: Path) -> Path:
    bundle = tmp_path / "bundle"
    (bundle / "lib").mkdir(parents=True)
    (bundle / "lib" / "library.wasm").write_bytes(b"\0asm")
    (bundle / "index.html").write_text("<html>")
    names = ["bundle/index.html", "bundle/lib/library.wasm"]
    outputs = {
        name: {
            "sha256": file_digest(tmp_path / name),
            "size": (tmp_path / name).stat().st_size,
        }
        for name in names
    }
    write_lock(tmp_path, {"schema": SCHEMA, "outputs": outputs})
    return tmp_path


def test_untouched_output_passes(output: Path) -> None:
    assert check_lock(output) == 2


def test_flipped_byte_is_named(output: Path) -> None:
    (output / "bundle" / "lib" / "library.wasm").write_bytes(b"\0asn")
    with pytest.raises(CacheCorrupt, match=r"bundle/lib/library\.wasm has other bytes"):
        check_lock(output)


def test_all_damage_is_named_at_once(output: Path) -> None:
    (output / "bundle" / "index.html").unlink()
    (output / "bundle" / "lib" / "library.wasm").write_bytes(b"\0")
    (output / "bundle" / "more.js").write_text("x")
    with pytest.raises(CacheCorrupt) as caught:
        check_lock(output)
    for part in ("index.html is missing", "library.wasm has 1 bytes", "more.js is not in the lock"):
        assert part in caught.value.message


def test_folder_without_lock_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=LOCK_NAME):
        read_lock(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 1}'])
def test_broken_lock_is_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / LOCK_NAME).write_text(text)
    with pytest.raises(CacheCorrupt):
        read_lock(tmp_path)


def test_lock_of_another_schema_is_refused(tmp_path: Path) -> None:
    write_lock(tmp_path, {"schema": 99, "outputs": {}})
    with pytest.raises(ConfigError, match="schema 99"):
        read_lock(tmp_path)
