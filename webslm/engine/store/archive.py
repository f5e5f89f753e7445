"""Own artifacts as tar files: pack them, and take them in only when every byte is as declared."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from webslm.basics.errors import CacheCorrupt
from webslm.basics.fs import sync_tree, tree_files
from webslm.basics.keys import file_digest
from webslm.engine.store.artifacts import MANIFEST, Artifact, Cache, read_artifact

BLOCK_BYTES = 1 << 20


def pack(artifacts: Iterable[Artifact], target: IO[bytes]) -> int:
    """Write artifacts as an uncompressed tar with neither owners nor times; return how many."""
    count = 0
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for artifact in artifacts:
            folder = artifact.path.parent
            # The manifest comes first: a reader then knows what must follow.
            files = [folder / MANIFEST, *tree_files(artifact.path)]
            for path in files:
                name = PurePosixPath(artifact.stage, folder.name, *path.relative_to(folder).parts)
                info = tarfile.TarInfo(str(name))
                info.size = path.stat().st_size
                info.mode = 0o644
                with path.open("rb") as file:
                    archive.addfile(info, file)
            count += 1
    return count


def unpack(
    cache: Cache, source: IO[bytes], label: str, *, only: tuple[str, str] | None = None
) -> list[Artifact]:
    """Take the artifacts of a tar into the store, each whole or not at all.

    Args:
        cache: Where they go.
        source: The archive, read once from front to back.
        label: What to call it in an error.
        only: The one (stage, key) that it may hold; None: any.

    Raises:
        CacheCorrupt: The archive is none, is cut off, holds a link or a path that leaves its
            artifact, or bytes other than the manifest's. Artifacts before that are kept.
    """
    taken = []
    try:
        with tarfile.open(fileobj=source, mode="r|") as archive:
            for stage, name, members in _groups(archive, label):
                work = cache.work_dir(stage)
                try:
                    for path, content in members:
                        _write(work / path, content)
                    artifact = _check(work, stage, name, label, only)
                    sync_tree(work)
                    taken.append(cache.adopt(work, stage, artifact.key))
                except BaseException:
                    cache.abandon(work)
                    raise
    except (tarfile.TarError, EOFError) as exc:
        raise CacheCorrupt(f"{label}: not a whole archive ({exc})", hint="export it again") from exc
    return taken


def _groups(
    archive: tarfile.TarFile, label: str
) -> Iterator[tuple[str, str, Iterator[tuple[Path, IO[bytes]]]]]:
    """Yield (stage, folder name, its members) of a stream; members follow each other."""
    member = archive.next()
    while member is not None:
        owner = _place(member, label)[:2]
        follower: list[tarfile.TarInfo | None] = [None]

        def members(
            first: tarfile.TarInfo = member,
            owner: tuple[str, str] = owner,
            follower: list[tarfile.TarInfo | None] = follower,
        ) -> Iterator[tuple[Path, IO[bytes]]]:
            current: tarfile.TarInfo | None = first
            while current is not None:
                *place, path = _place(current, label)
                if tuple(place) != owner:
                    break
                content = archive.extractfile(current)
                yield Path(path), content if content is not None else io.BytesIO()
                current = archive.next()
            follower[0] = current

        yield *owner, members()
        member = follower[0]


def _place(member: tarfile.TarInfo, label: str) -> tuple[str, str, str]:
    """Return (stage, folder, path in it); refuse what could leave the folder."""
    parts = PurePosixPath(member.name).parts
    unsafe = member.name.startswith("/") or ".." in parts or "\\" in member.name
    known = (len(parts) == 3 and parts[2] == MANIFEST) or (len(parts) > 3 and parts[2] == "files")
    if not member.isfile() or unsafe or not known or parts[0].startswith("."):
        raise CacheCorrupt(
            f"{label}: {member.name!r} has no place in a store",
            hint="import only what `cache export` or a remote store of webslm wrote",
        )
    return parts[0], parts[1], "/".join(parts[2:])


def _write(path: Path, content: IO[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        while block := content.read(BLOCK_BYTES):
            file.write(block)


def _check(work: Path, stage: str, name: str, label: str, only: tuple[str, str] | None) -> Artifact:
    try:
        artifact = read_artifact(work, stage)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise CacheCorrupt(f"{label}: {stage}/{name}: unreadable {MANIFEST} ({exc})") from exc
    if only is not None and only != (stage, artifact.key):
        raise CacheCorrupt(f"{label} holds {stage} {artifact.key[:16]}")
    present = {path.relative_to(artifact.path).as_posix() for path in tree_files(artifact.path)}
    if name != artifact.key[:16] or present != set(artifact.files):
        raise CacheCorrupt(f"{label}: {stage}/{name}: other files than its {MANIFEST} names")
    for path, entry in artifact.files.items():
        if file_digest(artifact.path / path) != entry.sha256:
            raise CacheCorrupt(f"{label}: {stage}/{name}/{path} has other bytes than declared")
    return artifact
