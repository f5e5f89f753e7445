"""Own the plan of a training that must end in so many minutes: how many steps fit."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from webslm.basics.fs import write_text

SHARE = 0.9
"""Of the minutes given; the rest is for optimiser, checkpoints and a machine that gets busier."""
FILE = "plan.json"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of a training fits."""

    minutes: float
    steps: int
    of: int
    """Steps that the configuration asks for."""
    rows_left_out: int
    """Rows that no step of the plan sees."""

    def __str__(self) -> str:
        """Return the plan as a sentence."""
        share = f"{self.minutes:g} minutes fit {self.steps} of {self.of} steps"
        if self.rows_left_out:
            return f"{share}; {self.rows_left_out} rows are never seen"
        return share if self.steps < self.of else f"{share}: nothing is left out"


def plan(
    batches: Iterator[Sequence[int]],
    seconds: Callable[[Sequence[int]], float],
    *,
    rows: int,
    accumulation: int,
    epoch_batches: int,
    steps: int,
    minutes: float,
) -> Plan:
    """Return how many steps fit, at least one.

    Args:
        batches: Row indices of every batch in the order of training.
        seconds: What a batch takes.
        rows: Rows in all.
        accumulation: Batches of a step; the last step of an epoch may have fewer.
        epoch_batches: Batches of an epoch.
        steps: Steps that the configuration asks for.
        minutes: What there is.
    """
    left, done, number = SHARE * 60 * minutes, 0, 0
    seen: set[int] = set()
    while done < steps:
        size = min(accumulation, epoch_batches - number % epoch_batches)
        step = [next(batches) for _ in range(size)]
        left -= sum(seconds(batch) for batch in step)
        if left < 0 and done:
            break
        seen.update(index for batch in step for index in batch)
        number += size
        done += 1
    return Plan(minutes=minutes, steps=done, of=steps, rows_left_out=rows - len(seen))


def kept(scratch: Path | None, make: Callable[[], Plan]) -> Plan:
    """Return the plan a killed training was made by, or a new one."""
    if scratch is None:
        return make()
    file = scratch / FILE
    if not file.is_file():
        write_text(file, json.dumps(asdict(make())))
    return Plan(**json.loads(file.read_text(encoding="utf-8")))


def stopwatch(
    model: Any,
    batch: Callable[[Sequence[int]], dict[str, Any]],
    loss: Callable[[dict[str, Any]], Any],
    lengths: Sequence[int],
    size: int,
) -> Callable[[Sequence[int]], float]:
    """Return what a batch takes, from a short and a long one that are tried; nothing is learnt.

    Args:
        model: The model, ready to be trained.
        batch: Makes a batch of row indices as the trainer does.
        loss: What the trainer makes of a batch on the model's device.
        lengths: Tokens of every row.
        size: Rows of a batch.
    """
    import torch

    ranked = sorted(range(len(lengths)), key=lambda index: lengths[index])
    ends = ranked[:size], ranked[-size:]
    model.train()
    with torch.random.fork_rng():
        _try(model, batch(ends[0]), loss)
        taken = [min(_try(model, batch(end), loss) for _ in range(2)) for end in ends]
    model.zero_grad()
    tokens = [_padded(end, lengths) for end in ends]
    slope = max(0.0, (taken[1] - taken[0]) / max(1, tokens[1] - tokens[0]))
    return lambda indices: taken[1] + slope * (_padded(indices, lengths) - tokens[1])


def _padded(indices: Sequence[int], lengths: Sequence[int]) -> int:
    return len(indices) * max(lengths[index] for index in indices)


def _try(model: Any, inputs: dict[str, Any], loss: Callable[[dict[str, Any]], Any]) -> float:
    import torch

    placed = {
        name: value.to(model.device) if hasattr(value, "to") else value
        for name, value in inputs.items()
    }
    started = time.monotonic()
    loss(placed).backward()
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    return time.monotonic() - started
