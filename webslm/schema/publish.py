"""Own what a user says of where a finished build goes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Target(Enum):
    """Where a finished build is put."""

    none = "none"
    folder = "folder"
    pages = "pages"
    hub = "hub"
    release = "release"


class History(Enum):
    """What a branch of pages remembers."""

    keep = "keep"
    orphan = "orphan"


class ArchiveFormat(Enum):
    """How a release is packed."""

    tar_gz = "tar_gz"
    zip = "zip"


@dataclass
class PublishConf:
    """What happens to a build after it was delivered; no stage reads it."""

    name: str = "none"
    target: Target = Target.none
    """The kind of place."""
    path: str | None = None
    """folder: the site's folder; release: the folder that gets the archive and its notes."""
    remote: str | None = None
    """pages: a git address or folder; credentials stay in git's own helpers."""
    branch: str = "gh-pages"
    """pages: what the host serves."""
    history: History = History.keep
    """keep: one more commit on the branch; orphan: a branch of a single commit."""
    repo: str | None = None
    """hub: NAMESPACE/NAME or NAME; null: the build's name below the token's own account."""
    private: bool = True
    """hub: whether only the account sees the model; a browser cannot load a private one."""
    archive: ArchiveFormat = ArchiveFormat.tar_gz
    """release: how it is packed."""
    max_archive_bytes: int | None = 2147483647
    """release: largest asset that the host takes; null: no limit."""
    url: str | None = None
    """Where visitors find what was published; probed afterwards like a browser would."""
    wait_s: float = 0.0
    """How long the probe waits for the new build to appear at ``url``."""
    unproven: bool = False
    """Whether a build without a browser's proof may be published."""
    dry_run: bool = False
    """Show what would be published, change nothing."""
