"""Own answers of a torch model to many prompts at once. Score nothing.

What all prompts of a batch begin with, most of all a system prompt, is read once; a row that has
ended leaves its batch. Answers are those of a prompt asked alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from webslm.evaluation.side_by_side import side_by_side
from webslm.training.torch_mode import quiet

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

BATCH = 40
"""Prompts answered together: half as many take a third longer a token, as each step reads every
weight; more hold a larger cache."""
LIKE = 0.6
"""How long the shortest row of a batch is beside its longest, at least: the rest is padding."""

Answer = tuple[list[int], bool]
"""Tokens without the stop token, and whether one came."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are chosen; temperature 0 takes the best one."""

    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0


def answer(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    stops: Collection[int],
    limits: Sequence[int],
    sampling: Sampling,
    seed: int,
) -> list[Answer]:
    """Return the answer to every prompt, in order.

    Args:
        model: As ``reference.load_model`` gives it.
        prompts: Tokens of each, generation prompt included; prompts of like length share a batch.
        stops: Tokens that end an answer.
        limits: Tokens after which each answer is cut, at least 1.
        sampling: How tokens are chosen.
        seed: Of the choice, where it is one.
    """
    import torch

    def batch(places: list[int]) -> list[Answer]:
        # A batch draws its own numbers, whichever thread comes first.
        generator = torch.Generator().manual_seed(seed * len(prompts) + places[0])
        with torch.inference_mode():
            return _Batch(
                model=model,
                prompts=[list(prompts[place]) for place in places],
                limits=[limits[place] for place in places],
                sampling=sampling,
                generator=generator,
            ).answers(frozenset(stops))

    found: list[Answer] = [([], False)] * len(prompts)
    batches = by_length([len(prompt) for prompt in prompts], BATCH)
    with quiet():
        for places, answers in zip(batches, side_by_side(model, batch, batches), strict=True):
            for place, one in zip(places, answers, strict=True):
                found[place] = one
    return found


def by_length(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Return places in batches of like lengths and nearly equal size, the longest first.

    There are at least two, for two cores, whatever this machine has: a batch's numbers depend on
    what is in it.

    Args:
        lengths: Tokens at each place.
        most: Places a batch may have.
    """
    alike: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if alike and lengths[place] >= LIKE * lengths[alike[-1][0]]:
            alike[-1].append(place)
        else:
            alike.append([place])
    least = 2 if len(alike) == 1 else 1
    return [
        batch for places in alike for batch in _parts(places, max(-(-len(places) // most), least))
    ]


def _parts(places: list[int], count: int) -> list[list[int]]:
    """Return so many runs of places, nearly equal, none of them empty."""
    edges = [len(places) * index // count for index in range(count + 1)]
    runs = [places[start:end] for start, end in itertools.pairwise(edges)]
    return [run for run in runs if run]


def shared_prefix(rows: Sequence[Sequence[int]], *, longest: int, window: int | None) -> int:
    """Return how many first tokens all rows have in common and may be read once, never a whole row.

    Args:
        rows: Tokens of each, at least one.
        longest: Tokens of the longest row when it is read to its end.
        window: Tokens that a layer looks back at most. Rows that outgrow it share nothing: padding
            between a prefix and its row would count as distance.
    """
    if window is not None and longest > window:
        return 0
    most = min(map(len, rows)) - 1
    first = rows[0]
    return next(
        (at for at in range(most) if any(row[at] != first[at] for row in rows)), max(most, 0)
    )


def window(model: Any) -> int | None:
    """Return how many tokens a model's layers look back at most; None: all."""
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and "sliding_attention" not in kinds:
        return None
    size: int | None = getattr(config, "sliding_window", None)
    return size


def read_prefix(model: Any, prefix: Sequence[int], rows: int) -> Any:
    """Return a cache that holds a prefix for so many rows; an empty one without a prefix."""
    import torch
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config)
    if prefix:
        model(
            input_ids=torch.tensor([list(prefix)]),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache.batch_repeat_interleave(rows)
    return cache


@dataclass(kw_only=True)
class _Batch:
    """Prompts on their way through a model."""

    model: Any
    prompts: list[list[int]]
    limits: list[int]
    sampling: Sampling
    generator: Any
    """Where the choices come from."""
    said: list[list[int]] = field(default_factory=list)

    def answers(self, stops: frozenset[int]) -> list[Answer]:
        """Return each prompt's answer."""
        import torch

        self.said = [[] for _ in self.prompts]
        ended = [False] * len(self.prompts)
        rows = list(range(len(self.prompts)))
        logits, cache, mask, at = self._read()
        while True:
            tokens = self._choose(logits, rows).tolist()
            for row, token in zip(rows, tokens, strict=True):
                ended[row] = token in stops
                if not ended[row]:
                    self.said[row].append(token)
            kept = [
                place
                for place, row in enumerate(rows)
                if not ended[row] and len(self.said[row]) < self.limits[row]
            ]
            if not kept:
                break
            if len(kept) < len(rows):
                rows = [rows[place] for place in kept]
                chosen = torch.tensor(kept)
                cache.batch_select_indices(chosen)
                mask, at = mask[chosen], at[chosen]
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], 1)
            at = at + 1
            logits = self._step(torch.tensor([[tokens[place]] for place in kept]), cache, mask, at)
        return list(zip(self.said, ended, strict=True))

    def _read(self) -> tuple[Tensor, Any, Tensor, Tensor]:
        """Return (logits after each prompt, cache, mask, position of each prompt's last token)."""
        import torch

        longest = max(map(len, self.prompts)) + max(self.limits)
        shared = shared_prefix(self.prompts, longest=longest, window=window(self.model))
        rest = [row[shared:] for row in self.prompts]
        width = max(map(len, rest))
        # What fills a row up on the left is never looked at.
        ids = torch.tensor([row[:1] * (width - len(row)) + row for row in rest])
        gaps = torch.tensor([[width - len(row)] for row in rest])
        column = torch.arange(width)[None]
        seen = (column >= gaps).long()
        mask = torch.cat([seen.new_ones(len(rest), shared), seen], 1)
        positions = shared + (column - gaps).clamp(min=0)
        cache = read_prefix(self.model, self.prompts[0][:shared], len(rest))
        logits = self._step(ids, cache, mask, positions)
        return logits, cache, mask, positions[:, -1:]

    def _step(self, ids: Tensor, cache: Any, mask: Tensor, positions: Tensor) -> Tensor:
        out = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = out.logits[:, -1].float()
        return logits

    def _choose(self, logits: Tensor, rows: Sequence[int]) -> Tensor:
        """Return the next token of every row: the best, or one drawn as web-llm draws it."""
        import torch
        from transformers import TemperatureLogitsWarper, TopPLogitsWarper

        way = self.sampling
        if way.repetition_penalty != 1:
            for scores, row in zip(logits, rows, strict=True):
                # As web-llm: what the model said itself counts, its prompt does not.
                again = torch.tensor(sorted(set(self.said[row])), dtype=torch.long)
                known, scale = scores[again], way.repetition_penalty
                scores[again] = torch.where(known < 0, known * scale, known / scale)
        if way.temperature <= 0:
            return logits.argmax(-1)
        warped = TemperatureLogitsWarper(way.temperature)(None, logits)
        if way.top_p < 1:
            warped = TopPLogitsWarper(way.top_p)(None, warped)
        return torch.multinomial(warped.softmax(-1), 1, generator=self.generator)[:, 0]
