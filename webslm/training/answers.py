"""Own how a fine-tune on a CPU computes a batch's loss: nothing twice, and only what it needs.

Logits only where a token carries loss (with a vocabulary that is wide beside the model all others
were a quarter of a step), the start that all rows share only once, and the layers below those that
learn not at all (``frozen_layers``). What is learnt is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webslm.training import shared_start
from webslm.training.frozen_layers import FrozenLayers
from webslm.training.losses import summed
from webslm.training.turns import IGNORED

if TYPE_CHECKING:
    from torch import Tensor


class Answers:
    """A model whose head can be told which positions matter."""

    def __init__(
        self, model: Any, frozen: FrozenLayers | None = None, *, shares: bool = False
    ) -> None:
        """Watch the head of ``model``, a causal language model or its peft wrapper.

        Args:
            model: The model.
            frozen: Its layers that do not learn.
            shares: Whether rows of a batch lie below each other, padded on the right, so that
                their common start may be computed once.
        """
        self._rows: Tensor | None = None
        self._frozen = frozen
        self._shares = shares and shared_start.attends_to_all(model.config)
        model.get_output_embeddings().register_forward_pre_hook(self._select)

    def loss(self, model: Any, inputs: dict[str, Any]) -> tuple[Tensor, int]:
        """Return (summed loss of the tokens that carry one, their number).

        Args:
            model: The watched one, or a wrapper that calls it.
            inputs: A batch with ``labels``, [rows, tokens], as the model takes it.
        """
        labels = inputs["labels"]
        # The last position of a row says nothing: its label is one that is never predicted.
        told = labels.roll(-1, 1)
        told[:, -1] = IGNORED
        start = _common_start(inputs["input_ids"], told) if self._shares else 0
        states = self._states(inputs)
        rest = {name: value for name, value in inputs.items() if name != "labels"}
        if start:
            rest = self._after_start(model, rest, start, states)
            states = None if states is None else states[:, start:]
            told = told[:, start:]
        flat = told.flatten()
        rows = (flat != IGNORED).nonzero()[:, 0]
        logits = self._run(model, {"use_cache": False, **rest}, states, rows).logits
        return summed(logits, flat[rows]), len(rows)

    def _states(self, inputs: dict[str, Any]) -> Tensor | None:
        if self._frozen is None:
            return None
        lengths = inputs["attention_mask"].sum(1).tolist()
        return self._frozen.states(inputs["input_ids"], lengths)

    def _after_start(
        self, model: Any, rest: dict[str, Any], start: int, states: Tensor | None
    ) -> dict[str, Any]:
        """Compute the common start once; return the inputs of what follows it."""
        import torch

        ids, seen = rest["input_ids"], rest["attention_mask"]
        first = shared_start.first_inputs(ids, start)
        none = torch.empty(0, dtype=torch.long, device=ids.device)
        self._run(model, first, None if states is None else states[:1, :start], none)
        kind = next(model.parameters()).dtype
        return shared_start.rest_inputs(ids, seen, start, first["past_key_values"], kind)

    def _run(self, model: Any, inputs: dict[str, Any], states: Tensor | None, rows: Tensor) -> Any:
        self._rows = rows
        if self._frozen is not None:
            self._frozen.telling(states)
        try:
            return model(**inputs)
        finally:
            self._rows = None
            if self._frozen is not None:
                self._frozen.telling(None)

    def _select(self, _head: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if self._rows is None:
            return None
        return (inputs[0].flatten(0, 1).index_select(0, self._rows),)


def _common_start(ids: Tensor, told: Tensor) -> int:
    """Return how many tokens all rows of a batch start with, before any that says something."""
    says = (told != IGNORED).any(0).nonzero()
    return shared_start.common_start(ids, int(says[0, 0]) if len(says) else ids.shape[1] - 1)
