"""The order in which rows are trained."""

from __future__ import annotations

from webslm.training.order import BUCKET, BucketSampler

LENGTHS = [10, 200, 12, 90, 14, 205, 92, 11, 95, 13, 210]


def chunks(order: list[int], size: int) -> list[list[int]]:
    return [order[start : start + size] for start in range(0, len(order), size)]


def test_every_row_comes_once_in_every_epoch() -> None:
    sampler = BucketSampler(LENGTHS, 2, seed=3)
    for sampler.epoch in range(3):
        assert sorted(sampler) == list(range(len(LENGTHS)))


def test_batches_hold_rows_of_about_one_length() -> None:
    lengths = [10] * 8 + [100] * 8 + [500] * 8
    for batch in chunks(list(BucketSampler(lengths, 4, seed=0)), 4):
        assert len({lengths[index] // BUCKET for index in batch}) == 1


def test_a_short_batch_is_the_last() -> None:
    lengths = [100] * 3 + [10] * 4
    order = list(BucketSampler(lengths, 2, seed=1))
    assert lengths[order[-1]] == 100
    assert all(lengths[one] == lengths[two] for one, two in chunks(order, 2)[:3])


def test_seed_decides_the_order_and_epochs_differ() -> None:
    epochs = [order(5, 0), order(5, 1), order(5, 2)]
    assert epochs == [order(5, epoch) for epoch in range(3)]
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert epochs[0] != order(6, 0)


def order(seed: int, epoch: int) -> list[int]:
    sampler = BucketSampler(LENGTHS, 2, seed=seed)
    sampler.epoch = epoch
    return list(sampler)
