"""Print a release's notes: ``python scripts/release.py vX.Y.Z`` fails unless the tag can be one.

Tag, ``webslm.__version__`` and the newest section of CHANGELOG.md must name the same version. It
reads files only, so that it runs before anything is installed.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADING = re.compile(r"^## \[([^\]]+)\](?: - (\S+))?$", re.MULTILINE)
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class NotReleasable(Exception):
    """Tag, version and changelog do not agree."""


def package_version(root: Path = ROOT) -> str:
    """Return what ``webslm.__version__`` says."""
    text = (root / "webslm" / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if match is None:
        raise NotReleasable("webslm/__init__.py: no __version__")
    return match[1]


def sections(root: Path = ROOT) -> list[tuple[str, str, str]]:
    """Return (version, date, text) of each section of the changelog, the newest first."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    heads = list(HEADING.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return [
        (head[1], head[2] or "", text[head.end() : end].strip())
        for head, end in zip(heads, ends, strict=True)
    ]


def notes(tag: str, root: Path = ROOT) -> str:
    """Return the changelog's section of a tag.

    Raises:
        NotReleasable: Says what does not agree.
    """
    version = package_version(root)
    if tag != f"v{version}":
        raise NotReleasable(f"the tag is {tag}, webslm/__init__.py says {version}")
    released = [section for section in sections(root) if section[0] != "Unreleased"]
    if not released or released[0][0] != version:
        newest = released[0][0] if released else "no version"
        raise NotReleasable(f"the tag is {tag}, CHANGELOG.md begins with {newest}")
    _, date, text = released[0]
    if not DATE.fullmatch(date):
        raise NotReleasable(f"CHANGELOG.md: [{version}] needs a date: ## [{version}] - YYYY-MM-DD")
    if not text:
        raise NotReleasable(f"CHANGELOG.md: [{version}] is empty")
    if any(name == "Unreleased" and left for name, _, left in sections(root)):
        raise NotReleasable("CHANGELOG.md: what is under Unreleased belongs to a version")
    return text


if __name__ == "__main__":
    try:
        sys.stdout.write(notes(sys.argv[1]) + "\n")
    except NotReleasable as exc:
        sys.exit(f"release: {exc}")
