"""Own the names of a sweep's jobs: what is swept and not in the name already becomes a suffix."""

from __future__ import annotations

import re
from collections.abc import Mapping

from webslm.basics.keys import text_digest

NAME_KEYS = ("name", "output_dir")
PLAIN = re.compile(r"[A-Za-z0-9._-]+")
MAX_NAME = 100
DIGEST_CHARS = 6


def job_name(name: str, template: str, swept: Mapping[str, str]) -> str:
    """Return a name no other job of the sweep has.

    Args:
        name: The job's name as composed, such as ``medical-tiny-q4f32_1``.
        template: The same before interpolation: ``${domain.name}-${base.name}-${quant.name}``.
        swept: Swept key to this job's value as written, such as ``{"lora.r": "8"}``.
    """
    suffixes = []
    leaves = [key.rpartition(".")[2] for key in swept]
    for key, value in swept.items():
        if _in_name(key, template):
            continue
        leaf = key.rpartition(".")[2]
        shown = leaf if leaves.count(leaf) == 1 else key
        plain = _plain(value)
        joint = "" if plain[:1].isdigit() else "_"
        suffixes.append(shown.replace("/", "_") + joint + plain)
    return _short("-".join([name, *suffixes]))


def _in_name(key: str, template: str) -> bool:
    if key in NAME_KEYS:
        return True
    referred = re.findall(r"\$\{([^}]+)\}", template)
    # A group's options differ in the name they bring; a key counts when it is named itself.
    return key in referred or f"{key}.name" in referred


def _plain(value: str) -> str:
    bare = value.strip("'\"")
    if PLAIN.fullmatch(bare):
        return bare
    kept = re.sub(r"[^A-Za-z0-9._-]+", "_", bare).strip("_")[:24]
    return f"{kept}-{text_digest(bare)[:DIGEST_CHARS]}"


def _short(name: str) -> str:
    if len(name) <= MAX_NAME:
        return name
    return f"{name[: MAX_NAME - DIGEST_CHARS - 1]}-{text_digest(name)[:DIGEST_CHARS]}"
