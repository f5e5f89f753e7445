"""A real delivered build made light: its large files cut short, every digest put right again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

LARGEST_BYTES = 30_000


def slim(output: Path, target: Path) -> Path:
    """Return a copy of an output folder whose site weighs a few hundred kilobytes."""
    shutil.copytree(output, target, copy_function=os.link)
    lock = read(target / "webslm.lock.json")
    changed: dict[str, dict[str, Any]] = {}
    for path in (target / "bundle").rglob("*"):
        if path.is_file() and path.stat().st_size > LARGEST_BYTES:
            changed[path.name] = replace(path, path.read_bytes()[:LARGEST_BYTES])
    page = read(target / "bundle" / "webslm.json")
    for entry in page["model"]["files"]:
        entry |= changed.get(entry["path"], {})
    page["model"]["library"] |= changed[page["model"]["lib"].rpartition("/")[2]]
    replace(target / "bundle" / "webslm.json", dump(page))
    manifest = read(target / "bundle" / "manifest.json")
    for name in manifest["files"]:
        manifest["files"][name] = facts((target / "bundle" / name).read_bytes())
    replace(target / "bundle" / "manifest.json", dump(manifest))
    for name, entry in lock["outputs"].items():
        found = facts((target / name).read_bytes())
        entry |= {"size": found["bytes"], "sha256": found["sha256"]}
    replace(target / "webslm.lock.json", dump(lock))
    return target


def replace(path: Path, content: bytes) -> dict[str, Any]:
    """Write a file anew, so that what is linked to the old one stays; return its facts."""
    path.unlink()
    path.write_bytes(content)
    return facts(content)


def facts(content: bytes) -> dict[str, Any]:
    """Return size and sha256."""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def read(path: Path) -> Any:
    """Return a JSON file's value."""
    return json.loads(path.read_text(encoding="utf-8"))


def dump(value: Any) -> bytes:
    """Return a value as JSON bytes."""
    return json.dumps(value, indent=1, sort_keys=True).encode()
