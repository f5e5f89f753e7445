"""Own the arithmetic of a LoRA layer while it learns: the same sums in fewer passes over memory.

peft scales and adds what the adapter makes in passes of their own over every activation, forwards
and backwards, and keeps a float32 copy of what the layer reads; here the matrix products add onto
what is there, in the type of the base.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def quicken(model: Any) -> int:
    """Give plain LoRA layers this arithmetic; return how many. DoRA and 4 bits keep peft's."""
    found = plain_layers(model)
    for layer in found:
        layer.forward = partial(_forward, layer)
    return len(found)


def plain_layers(model: Any) -> list[Any]:
    """Return the LoRA layers of a peft model that hold one plain adapter over a frozen weight."""
    from peft.tuners.lora.layer import Linear

    return [layer for layer in model.modules() if type(layer) is Linear and _is_plain(layer)]


def _is_plain(layer: Any) -> bool:
    import torch

    names = layer.active_adapters
    if len(names) != 1 or layer.merged or layer.lora_variant or layer.fan_in_fan_out:
        return False
    base, (name,) = layer.get_base_layer(), names
    return (
        type(base) is torch.nn.Linear
        and not base.weight.requires_grad
        and not layer.lora_bias[name]
    )


def _forward(layer: Any, x: Tensor) -> Tensor:
    """Return what the layer makes of ``x``, [..., in] to [..., out]."""
    import torch

    base = layer.get_base_layer()
    # DPO asks the model as it was: a switch of the layer says so.
    if layer.disable_adapters or x.dtype != base.weight.dtype:
        plain: Tensor = type(layer).forward(layer, x)
        return plain
    (name,) = layer.active_adapters
    dropout = layer.lora_dropout[name]
    is_whole = isinstance(dropout, torch.nn.Identity) or not dropout.training
    made: Tensor = _function().apply(
        x,
        None if is_whole else dropout(x),
        base.weight,
        base.bias,
        layer.lora_A[name].weight,
        layer.lora_B[name].weight,
        layer.scaling[name],
    )
    return made


@cache
def _function() -> Any:
    import torch

    class LowRank(torch.autograd.Function):
        """x W' + b + s (d A') B' with W and b frozen; d is x after dropout, None: x itself."""

        forward = staticmethod(_product)
        backward = staticmethod(_gradients)

    return LowRank


def _product(
    ctx: Any,
    x: Tensor,
    dropped: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    down: Tensor,
    up: Tensor,
    scale: float,
) -> Tensor:
    import torch

    rows = x.reshape(-1, x.shape[-1])
    read = rows if dropped is None else dropped.reshape(rows.shape)
    ctx.scale, ctx.is_apart, ctx.learnt = scale, dropped is not None, down.dtype
    down, up = down.to(x.dtype), up.to(x.dtype)
    low = read @ down.t()
    made = torch.nn.functional.linear(rows, weight, bias)
    made.addmm_(low, up.t(), alpha=scale)
    ctx.save_for_backward(read, low, weight, down, up)
    return made.view(*x.shape[:-1], -1)


def _gradients(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
    read, low, weight, down, up = ctx.saved_tensors
    outer = grads[0].shape[:-1]
    grad = grads[0].reshape(-1, grads[0].shape[-1])
    grad_low = (grad @ up).mul_(ctx.scale)
    grad_x, grad_dropped = None, None
    if ctx.needs_input_grad[0]:
        grad_x = grad @ weight
        if not ctx.is_apart:
            grad_x.addmm_(grad_low, down)
        grad_x = grad_x.view(*outer, -1)
    if ctx.needs_input_grad[1]:
        grad_dropped = (grad_low @ down).view(*outer, -1)
    grad_down = (grad_low.t() @ read).to(ctx.learnt)
    grad_up = (grad.t() @ low).to(ctx.learnt).mul_(ctx.scale)
    return grad_x, grad_dropped, None, None, grad_down, grad_up, None
