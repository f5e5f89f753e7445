from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from webslm.basics.errors import EnvironmentMismatch
from webslm.engine.store.artifacts import Artifact, Cache

KEY = "ab" * 32


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "store")


def put(cache: Cache, text: str = "bytes", key: str = KEY) -> Artifact:
    work = cache.work_dir("convert")
    (work / "files" / "deep").mkdir(parents=True)
    (work / "files" / "deep" / "shard.bin").write_text(text)
    return cache.commit(
        work, stage="convert", key=key, metrics={"n": 1}, seconds=1.5, peak_rss_bytes=7
    )


def test_lookup_returns_what_was_committed(cache: Cache) -> None:
    put(cache)
    found = cache.lookup("convert", KEY)
    assert found is not None
    assert (found.path / "deep" / "shard.bin").read_text() == "bytes"
    assert (found.metrics, found.seconds, found.peak_rss_bytes) == ({"n": 1}, 1.5, 7)


def test_lookup_misses_when_nothing_was_committed(cache: Cache) -> None:
    assert cache.lookup("convert", KEY) is None
    work = cache.work_dir("convert")
    (work / "files").mkdir()
    assert cache.lookup("convert", KEY) is None


@pytest.mark.parametrize("damage", ["bytes", "size", "missing", "extra", "manifest", "empty"])
def test_damaged_artifact_is_a_warning_and_a_miss(
    cache: Cache, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    artifact = put(cache)
    shard = artifact.path / "deep" / "shard.bin"
    if damage == "bytes":
        shard.write_text("Bytes")
        os.utime(shard, ns=(1, 1))
    elif damage == "size":
        shard.write_text("longer bytes")
    elif damage == "missing":
        shard.unlink()
    elif damage == "extra":
        (artifact.path / "more").write_text("x")
    elif damage == "manifest":
        (artifact.path.parent / "artifact.json").write_text("{")
    else:
        (artifact.path.parent / "artifact.json").write_text("{}")
    with caplog.at_level(logging.WARNING):
        assert cache.lookup("convert", KEY) is None
    assert "damaged" in caplog.text
    put(cache)
    assert cache.lookup("convert", KEY) is not None


def test_second_writer_of_a_key_keeps_the_first(cache: Cache) -> None:
    first = put(cache, "first")
    second = put(cache, "second")
    assert first.path == second.path
    assert (second.path / "deep" / "shard.bin").read_text() == "first"
    assert [path.name for path in (cache.artifacts / "convert").iterdir()] == [KEY[:16]]


def test_writer_replaces_what_is_damaged(cache: Cache) -> None:
    artifact = put(cache, "first")
    (artifact.path / "deep" / "shard.bin").unlink()
    again = put(cache, "second")
    assert (again.path / "deep" / "shard.bin").read_text() == "second"


def test_another_key_with_the_same_prefix_is_a_miss(cache: Cache) -> None:
    put(cache)
    assert cache.lookup("convert", KEY[:16] + "00" * 24) is None


def test_drop_makes_the_next_lookup_miss(cache: Cache) -> None:
    put(cache)
    cache.drop("convert", KEY)
    assert cache.lookup("convert", KEY) is None


def test_unwritable_root_is_a_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(EnvironmentMismatch, match="cannot be written") as caught:
        Cache(blocked).work_dir("data")
    assert caught.value.hint is not None
