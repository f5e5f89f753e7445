"""Own torch's process-wide switches: seeds, threads, determinism, silence. Train nothing."""

from __future__ import annotations

import logging
import os
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MAX_THREADS = 2
"""Models this small gain little from more, and sums are split by thread: a count that every
machine has gives every machine the same bytes. ``OMP_NUM_THREADS`` lowers it."""

NOISY = ("transformers", "trl", "peft", "accelerate", "datasets", "huggingface_hub", "torch")


@contextmanager
def reproducible(seed: int) -> Iterator[int]:
    """Make what torch computes inside repeatable on one machine and give the thread count.

    Sums are split by thread, so the count is part of what decides the bytes.
    """
    import numpy as np
    import torch

    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    buffers: Any = torch.utils.deterministic
    filled = buffers.fill_uninitialized_memory
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(mode=True)
    # On, every fresh buffer is filled first: a fifth of a fine-tune's time, for buffers that are
    # written whole before they are read.
    buffers.fill_uninitialized_memory = False
    torch.set_num_threads(min(threads, MAX_THREADS))
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(threads)
        buffers.fill_uninitialized_memory = filled
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep progress bars and advice of the training libraries off the terminal."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    levels = {name: logging.getLogger(name).level for name in NOISY}
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
