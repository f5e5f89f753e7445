"""Own a fine-tune that computes with rounded weights: what is learnt is what rounding leaves.

The weights that stay are rounded once, those with an adapter on every step: the layer multiplies
with round(W + s B A), and the gradient passes the rounding as if it were not there (the
straight-through estimator, Bengio et al., 2013, arXiv:1308.3432). Without a gradient of W itself
a step costs no product more than plain LoRA. This module knows no format.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from webslm.training.low_rank import plain_layers

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """A weight format, as a training sees it."""

    names: Collection[str]
    """Checkpoint tensors that it applies to."""
    rounded: Callable[[Tensor], Tensor]
    """Float32 [n, K] to what the format keeps of it."""


def weights(model: Any, rounding: Rounding) -> list[Any]:
    """Return the parameters of a model, before peft wraps it, that the format applies to.

    A tied head is its table, which is named once.
    """
    named = dict(model.named_parameters())
    return [named[name] for name in sorted(rounding.names) if name in named]


def apply(model: Any, rounding: Rounding, found: Collection[Any]) -> int:
    """Round the weights ``found`` that stay, and those with an adapter as they learn.

    Args:
        model: The peft model.
        rounding: The format.
        found: What ``weights`` returned before peft wrapped the model.

    Returns:
        How many layers learn through rounded weights.
    """
    import torch

    rounds = {id(weight) for weight in found}
    learning = [
        layer for layer in plain_layers(model) if id(layer.get_base_layer().weight) in rounds
    ]
    bases = {id(layer.get_base_layer().weight) for layer in learning}
    with torch.no_grad():
        for weight in found:
            if id(weight) not in bases:
                weight.copy_(rounding.rounded(weight.float()))
    for layer in learning:
        layer.forward = partial(_forward, layer, _Kept(rounding))
    return len(learning)


class _Kept:
    """The rounded weight of one layer, made again when its adapter may have changed."""

    def __init__(self, rounding: Rounding) -> None:
        self._rounding = rounding
        self._weight: Tensor | None = None

    def of(self, weight: Tensor, down: Tensor, up: Tensor, scale: float) -> Tensor:
        import torch

        if self._weight is None:
            with torch.no_grad():
                whole = torch.addmm(weight.float(), up.float(), down.float(), alpha=scale)
                self._weight = self._rounding.rounded(whole).to(weight.dtype)
        return self._weight

    def forget(self) -> None:
        """Make it anew: a step follows a way back, and fused optimisers leave no other trace."""
        self._weight = None


def _forward(layer: Any, kept: _Kept, x: Tensor) -> Tensor:
    """Return what the layer makes of ``x``, [..., in] to [..., out]."""
    base, (name,) = layer.get_base_layer(), layer.active_adapters
    down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
    scale = layer.scaling[name]
    weight = kept.of(base.weight, down, up, scale)
    made: Tensor = _function().apply(x, weight, base.bias, down, up, scale, kept)
    return made


@cache
def _function() -> Any:
    import torch

    class Rounded(torch.autograd.Function):
        """x W' + b with W = round(W0 + s B A); A and B get the gradients of x (W0 + s B A)'."""

        @staticmethod
        def forward(
            ctx: Any,
            x: Tensor,
            weight: Tensor,
            bias: Tensor | None,
            down: Tensor,
            up: Tensor,
            scale: float,
            kept: _Kept,
        ) -> Tensor:
            rows = x.reshape(-1, x.shape[-1])
            ctx.scale, ctx.learnt, ctx.kept = scale, down.dtype, kept
            ctx.save_for_backward(rows, weight, down, up)
            made = torch.nn.functional.linear(rows, weight, bias)
            return made.view(*x.shape[:-1], -1)

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
            rows, weight, down, up = ctx.saved_tensors
            ctx.kept.forget()
            outer = grads[0].shape[:-1]
            grad = grads[0].reshape(-1, grads[0].shape[-1])
            grad_low = (grad @ up.to(grad.dtype)).mul_(ctx.scale)
            grad_x = (grad @ weight).view(*outer, -1) if ctx.needs_input_grad[0] else None
            low = rows @ down.to(rows.dtype).t()
            grad_down = (grad_low.t() @ rows).to(ctx.learnt)
            grad_up = (grad.t() @ low).to(ctx.learnt).mul_(ctx.scale)
            return grad_x, None, None, grad_down, grad_up, None, None

    return Rounded
