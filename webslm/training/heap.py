"""Own what the C library does with memory that a training step frees: keep it for the next."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# From glibc's malloc.h.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEPT = 1 << 28
"""Bytes that may lie free at the end of the heap."""
LARGEST = 32 << 20
"""Bytes of the largest buffer that the heap may hold: glibc takes no more."""


@contextmanager
def kept() -> Iterator[None]:
    """Keep freed buffers for the steps inside; elsewhere than with glibc nothing changes.

    Left alone, the C library hands every large buffer back to the system and gets it anew, a page
    at a time and zeroed, thousands of pages a step.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if library is None or not hasattr(library, "mallopt"):
        yield
        return
    library.mallopt(MMAP_THRESHOLD, LARGEST)
    library.mallopt(TRIM_THRESHOLD, KEPT)
    try:
        yield
    finally:
        library.malloc_trim(0)
