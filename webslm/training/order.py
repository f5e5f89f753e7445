"""Own the order in which rows are trained. Know nothing of what is in them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

BUCKET = 16
"""Rows whose lengths fall into one bucket of so many tokens count as equally long."""


class BucketSampler:
    """Row indices in the order of training: batches of about equal length, shuffled every epoch."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self.epoch = 0
        """Whose order comes next; seed and epoch alone decide it, so a resumed epoch repeats it."""

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        import torch

        generator = torch.Generator().manual_seed(self._seed)
        for _ in range(self.epoch):
            list(self._order(generator))
        return self._order(generator)

    def _order(self, generator: Any) -> Iterator[int]:
        import torch

        order = torch.randperm(len(self._lengths), generator=generator).tolist()
        order.sort(key=lambda index: self._lengths[index] // BUCKET)
        size = self._batch_size
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        # A short batch stays last: the loader cuts this stream into equal pieces.
        whole, rest = (batches, []) if len(batches[-1]) == size else (batches[:-1], batches[-1])
        for index in torch.randperm(len(whole), generator=generator).tolist():
            yield from whole[index]
        yield from rest


def batches(lengths: Sequence[int], batch_size: int, seed: int) -> Iterator[list[int]]:
    """Yield row indices batch by batch in the order of training, epoch after epoch, for ever."""
    sampler = BucketSampler(lengths, batch_size, seed)
    for sampler.epoch in itertools.count():
        order = list(sampler)
        for start in range(0, len(order), batch_size):
            yield order[start : start + batch_size]
