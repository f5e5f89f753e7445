"""Own checkpoints that lie on this disk as the hub's library keeps them: found, checked, linked.

The library names what it keeps by what the hub called it: sha256 of a large file, git's own id of a
small one. Both are computed again, so a checkpoint is whole with and without a network.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from webslm.basics.errors import EnvironmentMismatch, StageFailed
from webslm.basics.fs import link_or_copy
from webslm.basics.keys import file_digest
from webslm.basics.model_files import (
    CONFIG,
    GENERATION,
    NEEDED,
    TEMPLATE,
    TEMPLATE_JSON,
    TOKENIZER,
    TOKENIZER_CONFIG,
    WEIGHTS,
    WEIGHTS_INDEX,
    WEIGHTS_SUFFIX,
)

BLOCK_BYTES = 1 << 20
WEIGHTS_PATTERN = f"*{WEIGHTS_SUFFIX}"
PATTERNS = (
    CONFIG,
    GENERATION,
    WEIGHTS_PATTERN,
    WEIGHTS_INDEX,
    TOKENIZER,
    TOKENIZER_CONFIG,
    TEMPLATE,
    TEMPLATE_JSON,
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
)
"""Files a build needs; read from the top folder of the repository only."""
_GIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_offline() -> bool:
    """Tell whether HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) forbids to ask the hub."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def find(name: str, commit: str, cache: Path) -> Path:
    """Return the folder of a whole checkpoint: webslm's own, else in the user's own hub cache.

    Raises:
        EnvironmentMismatch: Neither has all of it.
    """
    from huggingface_hub import constants

    lacking = ""
    for root in (cache, Path(constants.HF_HUB_CACHE)):
        folder = root / f"models--{name.replace('/', '--')}" / "snapshots" / commit
        missing = _missing(folder)
        if missing is None:
            return folder
        lacking = lacking or (missing if folder.is_dir() else "")
    why = f"{lacking} is not kept" if lacking else "it is not kept on this disk"
    raise EnvironmentMismatch(
        f"base: {name} at {commit[:12]} is wanted, HF_HUB_OFFLINE is set and {why}",
        hint="unset HF_HUB_OFFLINE once, or take base=tiny, which needs no hub",
    )


def take(snapshot: Path, folder: Path, name: str) -> dict[str, str]:
    """Link a checkpoint's files into ``folder`` and return their sha256 by name.

    Raises:
        StageFailed: A file is not what the hub called it when it was fetched.
    """
    files = {}
    for path in sorted(snapshot.iterdir()):
        if not path.is_file() or not is_wanted(path.name):
            continue
        kept = path.resolve()
        digest = file_digest(kept)
        called = kept.name
        found = digest if _SHA256.fullmatch(called) else _git_id(kept)
        if found != called and (_SHA256.fullmatch(called) or _GIT.fullmatch(called)):
            raise StageFailed(
                f"base: {path.name} of {name} is damaged on this disk",
                hint=f"remove {kept} and build again",
            )
        link_or_copy(kept, folder / path.name)
        files[path.name] = digest
    return files


def is_wanted(name: str) -> bool:
    """Tell whether a file of a repository's top folder takes part in a build."""
    return "/" not in name and any(fnmatch(name, pattern) for pattern in PATTERNS)


def wanted_files(names: Iterable[str]) -> list[str]:
    """Return which files of a repository take part: of sets of weights transformers' choice."""
    found = sorted(name for name in names if is_wanted(name))
    if WEIGHTS in found:
        return [name for name in found if WEIGHTS_SUFFIX not in name or name == WEIGHTS]
    return [name for name in found if not name.startswith("consolidated")]


def _missing(folder: Path) -> str | None:
    """Return the first file of a checkpoint that a folder lacks; None: it is whole."""
    shards = [WEIGHTS]
    if not (folder / WEIGHTS).is_file() and (folder / WEIGHTS_INDEX).is_file():
        index = json.loads((folder / WEIGHTS_INDEX).read_text(encoding="utf-8"))
        shards = sorted(set(index["weight_map"].values()))
    return next((file for file in (*NEEDED, *shards) if not (folder / file).is_file()), None)


def _git_id(path: Path) -> str:
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
