"""Own a delivered build as publishing sees it: checked files, facts, where it went."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from webslm.basics.errors import PublishError
from webslm.engine.lock.file import BUNDLE, LOCK_NAME, check_lock, read_lock, write_lock
from webslm.report.summary import REPORT_NAME, write_report

MANIFEST = "manifest.json"
PAGE_CONFIG = "webslm.json"


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """A build in its output folder, every file of it as its lock says."""

    output: Path
    lock: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Any]]
    """Size in bytes and sha256 of the site's files, by path; the manifest is not among them."""
    page: Mapping[str, Any]
    """``webslm.json``: what the page knows of itself."""

    @property
    def name(self) -> str:
        """Return the build's name."""
        return str(self.lock["name"])

    @property
    def bundle(self) -> Path:
        """Return the site's folder."""
        return self.output / BUNDLE

    def lock_text(self) -> str:
        """Return the lock as others get it: not where the build went, so its bytes never change."""
        told = {key: value for key, value in self.lock.items() if key != "published"}
        return json.dumps(told, indent=1, sort_keys=True) + "\n"

    @property
    def proven(self) -> bool:
        """Tell whether a browser's proof stands in the lock."""
        return "verify" in self.lock["metrics"]


@dataclass(frozen=True, kw_only=True)
class Published:
    """Where a build went."""

    target: str
    place: str
    """Folder, repository and branch, or file."""
    commit: str | None = None
    url: str | None = None
    """Where a browser finds it, if that is known."""
    files: int = 0
    bytes: int = 0
    unchanged: bool = False
    """Whether all of it lay there already."""


def read_delivered(output: Path, *, unproven: bool) -> Delivered:
    """Return the build in ``output`` after hashing every file of it.

    Args:
        output: A build's output folder.
        unproven: Whether a build without a browser's proof will do.

    Raises:
        ConfigError: There is no lock.
        CacheCorrupt: A file is not what the lock says.
        PublishError: There is no site, or nobody has seen it run.
    """
    lock = read_lock(output)
    if not lock["outputs"]:
        raise PublishError(
            f"publish: {output} holds no site: its build ended before the stage bundle",
            hint="build on, without until= and only=",
        )
    check_lock(output)
    bundle = output / BUNDLE
    found = Delivered(
        output=output.resolve(),
        lock=lock,
        files=json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))["files"],
        page=json.loads((bundle / PAGE_CONFIG).read_text(encoding="utf-8")),
    )
    if not found.proven and not unproven:
        raise PublishError(
            f"publish: no browser has proven {found.name} yet",
            hint="build it up to the stage verify, or take the blame: publish.unproven=true",
        )
    return found


def record(site: Delivered, published: Published) -> None:
    """Write into the lock and the report where the build went; ``unchanged`` is not kept."""
    entry = {key: value for key, value in asdict(published).items() if key != "unchanged"}
    lock = read_lock(site.output)
    known = [old for old in lock.get("published", []) if old["place"] != published.place]
    lock["published"] = [*known, entry]
    write_lock(site.output, lock)
    path = site.output / REPORT_NAME
    if path.is_file():
        report = json.loads(path.read_text(encoding="utf-8"))
        write_report(site.output, {**report, "published": lock["published"]})


def kept_record(output: Path, bundle_key: str) -> dict[str, Any]:
    """Return what an earlier lock of the same site says of its publications, as its key."""
    path = output / LOCK_NAME
    if not path.is_file():
        return {}
    try:
        lock = json.loads(path.read_text(encoding="utf-8"))
        if lock["stages"][BUNDLE]["key"] == bundle_key and lock.get("published"):
            return {"published": lock["published"]}
    except (ValueError, KeyError, TypeError):
        # A lock that cannot be read is replaced by a good one anyway.
        return {}
    return {}
