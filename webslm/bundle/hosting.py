"""Own what a host allows: sizes of files and of the whole site, against what a build makes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from webslm.basics.errors import Problem
from webslm.compiler.memory import possible_tensors
from webslm.schema import Config, HostConf

LEAST_SHARD_BYTES = 1 << 20
_ADDRESS = re.compile(r"https?://[^\s/?#]+(?:/[^\s?#]*)?")


def problems(cfg: Config) -> Iterator[Problem]:
    """Yield what of a configuration no upload to its host could hold, each with a hint.

    A tensor is never split over files, so the largest one bounds the smallest possible file.
    """
    host = cfg.host
    for name in ("max_file_bytes", "max_site_bytes"):
        value = getattr(host, name)
        if value is not None and value <= 0:
            yield f"host.{name}: {value} is not above 0", "a number of bytes, or null for no limit"
    if host.url is not None and not _ADDRESS.fullmatch(host.url):
        yield (
            f"host.url: {host.url!r} is not the address of a folder on the web",
            "host.url=https://example.org/assistant/, without query and fragment",
        )
    if host.shard_bytes < LEAST_SHARD_BYTES:
        yield (
            f"host.shard_bytes: {host.shard_bytes} is too small",
            f"host.shard_bytes={LEAST_SHARD_BYTES} or more; 33554432 is usual",
        )
    largest = largest_tensor_bytes(cfg)
    if host.max_file_bytes is not None and largest > host.max_file_bytes > 0:
        yield (
            f"host.max_file_bytes: the largest tensor takes {largest} bytes, and "
            f"{host.name} allows {host.max_file_bytes} in a file",
            "choose another host (host=hub, host=object_store), a smaller base or fewer bits",
        )


def largest_tensor_bytes(cfg: Config) -> int:
    """Return the bytes of the largest tensor as it is stored; 0 where none can be."""
    tensors = possible_tensors(cfg.base.shape, cfg.quant)
    return max((tensor.nbytes for tensor in tensors), default=0)


def shard_bytes(host: HostConf) -> int:
    """Return where a shard is closed: the preferred size, or less where the host allows less."""
    return min(host.shard_bytes, host.max_file_bytes or host.shard_bytes)


def too_large(host: HostConf, files: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return what of a finished site the host refuses; None when all fits."""
    over = [
        (entry["bytes"], name)
        for name, entry in files.items()
        if host.max_file_bytes is not None and entry["bytes"] > host.max_file_bytes
    ]
    if over:
        size, name = max(over)
        return f"{name} has {size} bytes, {host.name} allows {host.max_file_bytes} in a file"
    total = sum(entry["bytes"] for entry in files.values())
    if host.max_site_bytes is not None and total > host.max_site_bytes:
        return f"the site has {total} bytes, {host.name} allows {host.max_site_bytes}"
    return None
