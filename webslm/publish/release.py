"""Own release archives: the site, its lock and notes as files to attach to a release.

Equal builds give equal bytes: members are sorted and carry neither times nor owners.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

from webslm.basics.errors import EnvironmentMismatch, PublishError
from webslm.basics.fs import sync_tree, temporary_dir, tree_files, write_text
from webslm.basics.keys import file_digest
from webslm.basics.paths import expanded
from webslm.engine.lock.file import BUNDLE, LOCK_NAME
from webslm.publish.card import release_notes
from webslm.publish.delivered import Delivered, Published
from webslm.schema import ArchiveFormat, PublishConf

SUFFIX = {ArchiveFormat.tar_gz: ".tar.gz", ArchiveFormat.zip: ".zip"}
NOTES_SUFFIX = ".notes.md"
SUMS_SUFFIX = ".sha256"
MEMBER_MODE = 0o644
BLOCK_BYTES = 1 << 20
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip archive can say."""


def check(conf: PublishConf, name: str) -> None:  # noqa: ARG001  one signature for all targets
    """Refuse a folder that cannot be written.

    Raises:
        EnvironmentMismatch: It is a file or cannot be written.
    """
    folder = _folder(conf)
    above = next(each for each in (folder, *folder.parents) if each.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise EnvironmentMismatch(
            f"publish.path: {folder} cannot be written", hint="publish.path=FOLDER"
        )


def preview(conf: PublishConf, site: Delivered) -> list[str]:
    """Return what would happen."""
    total = sum(entry["bytes"] for entry in site.files.values())
    return [f"{len(site.files) + 2} files, {total} bytes, packed as {_archive(conf, site)}"]


def put(conf: PublishConf, site: Delivered) -> Published:
    """Write archive, sha256 and notes, each whole or not at all, the archive last.

    Raises:
        PublishError: The archive is larger than a release asset may be.
    """
    archive = _archive(conf, site)
    with temporary_dir(archive.parent, "publish") as work:
        made = work / archive.name
        pack(_members(site, work), made, conf.archive)
        size, digest = made.stat().st_size, file_digest(made)
        if conf.max_archive_bytes is not None and size > conf.max_archive_bytes:
            raise PublishError(
                f"publish: {archive.name} has {size} bytes, "
                f"publish.max_archive_bytes allows {conf.max_archive_bytes}",
                hint="publish=folder, or a smaller base or format",
            )
        sync_tree(work)
        write_text(_beside(archive, SUMS_SUFFIX), f"{digest}  {archive.name}\n")
        write_text(_beside(archive, NOTES_SUFFIX), release_notes(site, archive.name, size, digest))
        made.replace(archive)
    return Published(
        target="release", place=str(archive), files=len(site.files) + 2, bytes=size, url=None
    )


def pack(members: list[tuple[str, Path]], target: Path, kind: ArchiveFormat) -> None:
    """Write (name, file) pairs, sorted by name, as an archive that says nothing of this machine."""
    if kind is ArchiveFormat.zip:
        _zip(sorted(members), target)
    else:
        _tar(sorted(members), target)


def _tar(members: list[tuple[str, Path]], target: Path) -> None:
    with (
        target.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, path in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = path.stat().st_size, MEMBER_MODE, 0
            with path.open("rb") as file:
                tar.addfile(info, file)


def _zip(members: list[tuple[str, Path]], target: Path) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        for name, path in members:
            info = zipfile.ZipInfo(name, ZIP_EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            # Unix, whatever packs it: the mode below is then read as one.
            info.create_system = 3
            info.external_attr = MEMBER_MODE << 16
            # Above 2 GiB the header has other fields, so the size must be known first.
            info.file_size = path.stat().st_size
            with archive.open(info, "w") as member, path.open("rb") as file:
                shutil.copyfileobj(file, member, BLOCK_BYTES)


def _members(site: Delivered, work: Path) -> list[tuple[str, Path]]:
    lock = work / LOCK_NAME
    write_text(lock, site.lock_text())
    found = [
        (f"{site.name}/{BUNDLE}/{path.relative_to(site.bundle).as_posix()}", path)
        for path in tree_files(site.bundle)
    ]
    return [*found, (f"{site.name}/{LOCK_NAME}", lock)]


def _folder(conf: PublishConf) -> Path:
    return expanded(str(conf.path)).resolve()


def _archive(conf: PublishConf, site: Delivered) -> Path:
    return _folder(conf) / f"{site.name}{SUFFIX[conf.archive]}"


def _beside(archive: Path, suffix: str) -> Path:
    return archive.with_name(archive.name + suffix)
