from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.locks import schema_errors
from webslm.basics.errors import CacheCorrupt, ConfigError
from webslm.basics.keys import file_digest
from webslm.config.compose import restore
from webslm.engine.lock.file import LOCK_NAME, SCHEMA, check_lock, pinned, read_lock, write_lock


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


RESOURCES = Path(__file__).parents[2] / "resources"


def test_lock_of_schema_1_is_brought_up_to_the_published_schema() -> None:
    old = json.loads((RESOURCES / "lock_schema_1.json").read_text(encoding="utf-8"))
    lock = read_lock(RESOURCES / "lock_schema_1.json")
    assert (old["schema"], lock["schema"]) == (1, SCHEMA)
    assert schema_errors(lock) == []
    assert lock["outputs"] == old["outputs"]
    assert lock["stages"]["verify"]["pinned"]
    assert lock["stages"]["finetune"]["pinned"] is None
    assert restore(lock["config"]).base.name == "tiny"


def test_schema_refuses_what_is_no_lock() -> None:
    lock = read_lock(RESOURCES / "lock_schema_1.json")
    lock["stages"]["data"]["key"] = "short"
    del lock["matrix"]["row"]
    assert sorted(schema_errors(lock)) == ["$.matrix", "$.stages.data.key"]


def test_lock_is_sorted_with_one_value_a_line(tmp_path: Path) -> None:
    lock = read_lock(RESOURCES / "lock_schema_1.json")
    write_lock(tmp_path, lock)
    text = (tmp_path / LOCK_NAME).read_text(encoding="utf-8")
    assert text == json.dumps(lock, indent=1, sort_keys=True) + "\n"
    assert all(line.count('": ') <= 1 for line in text.splitlines())


def test_trained_on_a_gpu_is_declared_and_not_compared() -> None:
    assert pinned("finetune", {"device": "cpu"}) is None
    assert "cuda" in (pinned("finetune", {"device": "cuda:0"}) or "")
    assert pinned("verify", {})
