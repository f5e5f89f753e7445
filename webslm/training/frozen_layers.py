"""Own the layers below those that learn: what they make of a row is computed once.

Their weights stay, so every epoch would compute the same states again; with a third of the layers
learning these were most of a step. Know no loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from webslm.training import shared_start

if TYPE_CHECKING:
    from torch import Tensor

LIMIT_BYTES = 2 << 30
"""States kept at most; a batch with a row beyond them is computed whole."""
FILL_ROWS = 16
"""Rows computed at once while the states are made."""


class FrozenLayers:
    """A causal language model whose lower layers can be told what they would say."""

    def __init__(self, model: Any, first: int) -> None:
        """Watch a model.

        Args:
            model: A transformers model, or its peft wrapper.
            first: The lowest layer that learns, from 0; above 0.
        """
        plain = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._decoder = plain.get_decoder()
        self._states: dict[tuple[int, ...], Tensor] = {}
        self._given: Tensor | None = None
        self._seen: Tensor | None = None
        self._is_filling = False
        layers = list(self._decoder.layers)
        for layer in layers[: first - 1]:
            layer.forward = partial(self._skip, layer.forward)
        layers[first - 1].forward = partial(self._tell, layers[first - 1].forward)
        for layer in layers[first:]:
            layer.forward = partial(self._above, layer.forward)

    def fill(self, rows: Sequence[Sequence[int]]) -> int:
        """Compute the states of rows, shortest first, as many as may be kept.

        Args:
            rows: Token ids.

        Returns:
            How many rows are kept.
        """
        import torch

        order = sorted({tuple(row) for row in rows}, key=lambda row: (len(row), row))
        held, width = 0, int(self._decoder.config.hidden_size) * 4
        with torch.no_grad():
            for start in range(0, len(order), FILL_ROWS):
                batch = order[start : start + FILL_ROWS]
                held += sum(len(row) for row in batch) * width
                if held > LIMIT_BYTES:
                    break
                for row, states in zip(batch, self._computed(batch), strict=True):
                    self._states[row] = states
        return len(self._states)

    def states(self, ids: Tensor, lengths: Sequence[int]) -> Tensor | None:
        """Return the kept states of a batch, [rows, tokens, width] padded with 0; None: not all.

        Args:
            ids: [rows, tokens], padded on the right.
            lengths: Tokens of each row.
        """
        import torch

        keys = [tuple(row[:length]) for row, length in zip(ids.tolist(), lengths, strict=True)]
        if any(key not in self._states for key in keys):
            return None
        found = [self._states[key] for key in keys]
        return torch.nn.utils.rnn.pad_sequence(found, batch_first=True)

    def telling(self, states: Tensor | None) -> None:
        """Let the lower layers say ``states`` from now on; None: compute."""
        self._given = states

    def _computed(self, batch: Sequence[tuple[int, ...]]) -> Iterator[Tensor]:
        import torch

        longest = max(len(row) for row in batch)
        ids = torch.tensor([[*row, *([0] * (longest - len(row)))] for row in batch])
        seen = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in batch])
        start = 0
        if shared_start.attends_to_all(self._decoder.config):
            start = shared_start.common_start(ids, min(map(len, batch)) - 1)
        if not start:
            told = self._lower({"input_ids": ids, "attention_mask": seen, "use_cache": False})
        else:
            first = shared_start.first_inputs(ids, start)
            before = self._lower(first).expand(len(batch), -1, -1)
            past, kind = first["past_key_values"], next(self._decoder.parameters()).dtype
            rest = shared_start.rest_inputs(ids, seen, start, past, kind)
            told = torch.cat([before, self._lower(rest)], 1)
        for states, row in zip(told, batch, strict=True):
            # A copy of its own: a view would keep the whole padded batch alive.
            yield states[: len(row)].clone()

    def _lower(self, inputs: dict[str, Any]) -> Tensor:
        """Return what the layers that stay make of a batch, [rows, tokens, width]."""
        self._is_filling = True
        try:
            self._decoder(**inputs)
        finally:
            self._is_filling = False
        assert self._seen is not None
        seen, self._seen = self._seen, None
        return seen

    def _skip(self, forward: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        if self._given is not None:
            return hidden_states
        return forward(hidden_states, *args, **kwargs)

    def _tell(self, forward: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        if self._given is not None:
            return self._given
        made = forward(hidden_states, *args, **kwargs)
        if self._is_filling:
            self._seen = made
        return made

    def _above(self, forward: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        return hidden_states if self._is_filling else forward(hidden_states, *args, **kwargs)
