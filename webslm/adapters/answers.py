"""Own where a fine-tune on a CPU computes logits: at the tokens that carry loss, nowhere else.

trl computes them for every position, and again on the way back; with a vocabulary that is wide
beside the model this was a quarter of a step. What is learnt is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webslm.adapters.losses import summed
from webslm.adapters.turns import IGNORED

if TYPE_CHECKING:
    from torch import Tensor


class Answers:
    """A model whose head can be told which positions matter."""

    def __init__(self, model: Any) -> None:
        """Watch the head of ``model``, a causal language model or its peft wrapper."""
        self._rows: Tensor | None = None
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
        flat = told.flatten()
        self._rows = (flat != IGNORED).nonzero()[:, 0]
        rest = {name: value for name, value in inputs.items() if name != "labels"}
        try:
            logits = model(**rest, use_cache=False).logits
        finally:
            rows, self._rows = self._rows, None
        return summed(logits, flat[rows]), len(rows)

    def _select(self, _head: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if self._rows is None:
            return None
        return (inputs[0].flatten(0, 1).index_select(0, self._rows),)
