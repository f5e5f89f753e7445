"""Own the cross-entropy of a training on a CPU: logits, probabilities and gradient in one buffer.

torch's own makes three such buffers, each as large as the vocabulary is wide.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def summed(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy summed over rows, in nats; ``logits`` are overwritten.

    Args:
        logits: [n, vocabulary] float32 that nothing else reads.
        targets: [n] token ids.
    """
    made: Tensor = _function().apply(logits, targets)
    return made


@cache
def _function() -> Any:
    import torch

    class Summed(torch.autograd.Function):
        """One buffer holds logits, then probabilities, then their gradient."""

        @staticmethod
        def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
            top = logits.amax(1, keepdim=True)
            said = logits.gather(1, targets[:, None])
            odds = logits.sub_(top).exp_()
            total = odds.sum(1, keepdim=True)
            ctx.save_for_backward(odds.div_(total), targets)
            return (total.log() + top - said).sum()

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
            found, targets = ctx.saved_tensors
            said = targets[:, None]
            found.scatter_add_(1, said, found.new_full((1, 1), -1.0).expand(said.shape))
            return found.mul_(grads[0]), None

    return Summed
