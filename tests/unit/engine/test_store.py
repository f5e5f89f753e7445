"""What is done with the store besides building: list, check, clean, carry, share."""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from webslm.basics.errors import CacheCorrupt, ConfigError
from webslm.basics.keys import text_digest
from webslm.engine.store import admin
from webslm.engine.store.archive import pack, unpack
from webslm.engine.store.artifacts import Artifact, Cache
from webslm.engine.store.remote import Remote, open_remote


def put(cache: Cache, name: str, size: int = 100, stage: str = "convert") -> Artifact:
    work = cache.work_dir(stage)
    (work / "files" / "deep").mkdir(parents=True)
    (work / "files" / "deep" / "shard.bin").write_bytes(b"x" * size)
    (work / "files" / "stats.json").write_text(name)
    return cache.commit(
        work, stage=stage, key=text_digest(name), metrics={}, seconds=1.5, peak_rss_bytes=1
    )


def packed(*artifacts: Artifact) -> bytes:
    target = io.BytesIO()
    pack(artifacts, target)
    return target.getvalue()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def other(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "other")


def test_clean_up_takes_partial_work_that_was_left_a_day_ago(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for name, age_s in (("a", 0), ("b", 2 * admin.IDLE_S)):
        folder = cache.scratch("finetune", name * 64)
        (folder / "step-1").mkdir(parents=True)
        for path in (folder / "step-1", folder):
            os.utime(path, (time.time() - age_s,) * 2)
    assert admin.remove_unfinished(cache) == 1
    assert [path.name for path in cache.unfinished.glob("*/*")] == ["a" * 16]


def test_exported_artifacts_arrive_whole(cache: Cache, other: Cache) -> None:
    made = [put(cache, "one"), put(cache, "two", stage="merge")]
    taken = unpack(other, io.BytesIO(packed(*made)), "archive")
    assert [(a.stage, a.key, a.files.keys()) for a in taken] == [
        (a.stage, a.key, a.files.keys()) for a in made
    ]
    for artifact in made:
        found = other.lookup(artifact.stage, artifact.key)
        assert found is not None
        assert (found.path / "stats.json").read_text() == (artifact.path / "stats.json").read_text()


def test_same_artifacts_make_the_same_archive(cache: Cache, other: Cache) -> None:
    unpack(other, io.BytesIO(packed(put(cache, "one"))), "archive")
    (again,) = other.stored()
    assert packed(again) == packed(*cache.stored())


def test_import_of_what_is_there_changes_nothing(cache: Cache) -> None:
    made = put(cache, "one")
    unpack(cache, io.BytesIO(packed(made)), "archive")
    assert [a.key for a in cache.stored()] == [made.key]
    assert not list((cache.artifacts / "convert").glob(".work-*"))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_archive_that_is_cut_off_leaves_nothing_half(
    cache: Cache, other: Cache, share: float
) -> None:
    whole = packed(put(cache, "one", size=20_000))
    content = len(whole) - 10_240
    with pytest.raises(CacheCorrupt):
        unpack(other, io.BytesIO(whole[: int(content * share)]), "archive")
    assert list(other.stored()) == []
    assert not list(other.artifacts.glob("*/.work-*"))


def test_every_changed_byte_of_content_is_found(cache: Cache, other: Cache) -> None:
    artifact = put(cache, "one", size=700)
    whole = packed(artifact)
    at = whole.index(b"x" * 700) + 350
    broken = whole[:at] + b"y" + whole[at + 1 :]
    with pytest.raises(CacheCorrupt, match=r"shard\.bin has other bytes"):
        unpack(other, io.BytesIO(broken), "archive")
    assert list(other.stored()) == []


def evil(change: Callable[[tarfile.TarInfo], None]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        info = tarfile.TarInfo("convert/0123456789abcdef/files/a")
        info.size = 1
        change(info)
        archive.addfile(info, io.BytesIO(b"a"))
    return target.getvalue()


def link(info: tarfile.TarInfo) -> None:
    info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0


@pytest.mark.parametrize(
    "change",
    [
        lambda info: setattr(info, "name", "../outside"),
        lambda info: setattr(info, "name", "convert/0123456789abcdef/files/../../../../x"),
        lambda info: setattr(info, "name", "/etc/cron.d/x"),
        lambda info: setattr(info, "name", "convert/0123456789abcdef/other/a"),
        lambda info: setattr(info, "name", "convert/a"),
        lambda info: setattr(info, "name", ".work-x/0123456789abcdef/files/a"),
        link,
        lambda info: setattr(info, "type", tarfile.LNKTYPE),
        lambda info: setattr(info, "type", tarfile.FIFOTYPE),
    ],
)
def test_member_that_could_leave_its_folder_is_refused(
    tmp_path: Path, other: Cache, change: Callable[[tarfile.TarInfo], None]
) -> None:
    with pytest.raises(CacheCorrupt, match="has no place in a store"):
        unpack(other, io.BytesIO(evil(change)), "archive")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def test_verify_reads_every_byte_and_moves_the_damaged_away(cache: Cache) -> None:
    good, bad = put(cache, "good"), put(cache, "bad")
    shard = bad.path / "deep" / "shard.bin"
    stat = shard.stat()
    shard.write_bytes(b"y" * 100)
    os.utime(shard, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert cache.lookup("convert", bad.key) is not None, "an unchanged time is trusted"
    with pytest.raises(CacheCorrupt, match=r"shard.bin has other bytes.*moved to .*quarantine"):
        admin.verify(cache, admin.entries(cache))
    assert [a.key for a in cache.stored()] == [good.key]
    assert len(list(cache.damaged.glob("*/artifact/files/deep/shard.bin"))) == 1
    assert admin.verify(cache, admin.entries(cache)) == 1


def test_clean_keeps_what_is_wanted_and_what_was_used_last(cache: Cache) -> None:
    made = [put(cache, name, size=1000) for name in ("a", "b", "c", "d")]
    for age, artifact in enumerate(made):
        os.utime(artifact.path.parent / "artifact.json", (1000 + age, 1000 + age))
    found = admin.entries(cache)
    cleaning = admin.clean(found, wanted={made[0].key}, max_size=2100)
    assert {e.artifact.key for e in cleaning.kept} == {made[0].key, made[3].key}
    admin.remove(cache, cleaning)
    assert {a.key for a in cache.stored()} == {made[0].key, made[3].key}


def test_lookup_marks_an_artifact_as_used(cache: Cache) -> None:
    artifact = put(cache, "a")
    manifest = artifact.path.parent / "artifact.json"
    os.utime(manifest, (1000, 1000))
    assert cache.lookup("convert", artifact.key) is not None
    assert manifest.stat().st_mtime > 1000


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("10", 10), ("5k", 5000), ("2.5GB", 2_500_000_000), ("1 TB", 10**12)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert admin.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "five", "1e400", "nan"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        admin.parse_size(text)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_remote_gives_others_what_one_made(
    tmp_path: Path, cache: Cache, other: Cache, scheme: str
) -> None:
    remote = Remote(f"{scheme}{tmp_path}/shared")
    artifact = put(cache, "one")
    assert remote.fetch(other, "convert", artifact.key) is None
    assert remote.push(artifact)
    fetched = remote.fetch(other, "convert", artifact.key)
    assert fetched is not None
    assert fetched.files.keys() == artifact.files.keys()
    assert other.lookup("convert", artifact.key) is not None
    assert [p.name for p in (tmp_path / "shared" / "convert").iterdir()] == [f"{artifact.key}.tar"]


def test_remote_with_other_bytes_is_a_warning_and_a_miss(
    tmp_path: Path, cache: Cache, other: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    remote = Remote(str(tmp_path / "shared"))
    one, two = put(cache, "one"), put(cache, "two")
    remote.push(one)
    remote.push(two)
    folder = tmp_path / "shared" / "convert"
    (folder / f"{one.key}.tar").write_bytes((folder / f"{two.key}.tar").read_bytes())
    (folder / f"{two.key}.tar").write_bytes(b"not a tar")
    for artifact in (one, two):
        assert remote.fetch(other, "convert", artifact.key) is None
    assert list(other.stored()) == []
    assert caplog.text.count("built here instead") == 2


def test_remote_that_cannot_be_written_never_ends_a_build(
    tmp_path: Path, cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    assert not Remote(f"{tmp_path}/file/shared").push(put(cache, "one"))
    assert "not shared" in caplog.text


def test_unknown_protocol_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="cannot be opened"):
        open_remote("gopher://store")
    monkeypatch.delenv("WEBSLM_REMOTE", raising=False)
    assert open_remote(None) is None


def test_reading_only_never_pushes(tmp_path: Path, cache: Cache) -> None:
    remote = open_remote(str(tmp_path / "shared"), push=False)
    assert remote is not None
    assert not remote.push(put(cache, "one"))
    assert not (tmp_path / "shared").exists()
