"""What bench/kills.py compares: every file of a store and an output, without measured numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MEASURED = {"seconds", "peak_rss_bytes", "read_mb_per_s", "mtime_ns"}
"""Keys whose values a clock or the machine's load decides."""
DRAWN = ("report.json", "report.html")
"""Pages of measured times: they must be there."""


def outcome(cache: Path, out: Path) -> dict[str, str]:
    """Return a digest per file: of bytes, or for JSON with measured numbers of all else."""
    found = {}
    for root, label in ((cache / "artifacts", "store"), (out, "out")):
        for path in files(root):
            name = path.relative_to(root).as_posix()
            if label == "out" and name.startswith("runs/"):
                continue
            if label == "store" and name.startswith("verify/"):
                # Measured in a browser: it must be there, its times differ.
                found["store/verify"] = ""
                continue
            found[f"{label}/{name}"] = _digest(path, name)
    return found


def files(root: Path) -> Iterator[Path]:
    yield from sorted(path for path in root.rglob("*") if not path.is_dir())


def _digest(path: Path, name: str) -> str:
    if name in DRAWN:
        return ""
    content = path.read_bytes()
    if path.name in ("artifact.json", "webslm.lock.json"):
        kept = _without_measured(json.loads(content))
        if path.name == "webslm.lock.json" and "verify" in kept["stages"]:
            kept["stages"]["verify"].pop("files")
            kept["metrics"].pop("verify")
        content = json.dumps(kept, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()


def _without_measured(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_measured(v) for k, v in value.items() if k not in MEASURED}
    if isinstance(value, list):
        return [_without_measured(item) for item in value]
    return value


def differences(expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Return a sentence per file that is missing, extra or different."""
    told = []
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            told.append(f"{name} is missing")
        elif name not in expected:
            told.append(f"{name} is extra")
        elif expected[name] != found[name]:
            told.append(f"{name} differs")
    return told


def leftovers(cache: Path, out: Path) -> list[str]:
    """Return what half-done work left behind: hidden files and folders, quarantined artifacts."""
    hidden = [path for root in (cache / "artifacts", out) for path in root.rglob(".*")]
    quarantined = [cache / "quarantine"] if (cache / "quarantine").exists() else []
    return [f"{path.name} is left over" for path in (*hidden, *quarantined)]


def stage_under_way(cache: Path, out: Path) -> str:
    """Return where a build was: the stage with a work folder, or what it had finished last."""
    artifacts = cache / "artifacts"
    works = sorted(path.parent.name for path in artifacts.glob("*/.work-*"))
    if works:
        return works[0]
    done = list(artifacts.glob("*/[0-9a-f]*/artifact.json"))
    if not done:
        return "start"
    if any(out.glob(".*")):
        return "delivery"
    return "after " + max(done, key=lambda path: path.stat().st_mtime_ns).parent.parent.name
