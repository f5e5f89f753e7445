"""Own activation-aware scaling of a checkpoint: the same function, easier to round.

The method is AWQ's (Lin et al., 2023, arXiv:2306.00978): an input channel that carries large
activations is multiplied up in the weights that read it and divided out of what writes it, so that
rounding hurts it less. What writes it is a norm's gain or the rows of a linear layer; nothing is
added to the model, so its library serves the scaled weights too. This module knows no format and
no architecture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Round = Callable[["np.ndarray"], "np.ndarray"]
"""Float32 [n, K] to what a format keeps of it."""
STRENGTHS = tuple(step / 10 for step in range(11))
"""Exponents tried for each fold; 0 is plain rounding."""
TOKENS = 1024
"""Inputs kept per fold: enough for its error, and little memory for a large model."""


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Linear layers that read the same channels, and the one module that writes these."""

    readers: tuple[str, ...]
    """By module name; weights [outputs, inputs]."""
    writer: str
    """A norm, whose gains are divided, or a linear layer, whose rows and biases are."""
    rows: tuple[int, int] | None = None
    """First row and the one after the last of a writing linear layer; None: a norm."""
    offset: float = 0.0
    """What the model adds to the gains of a writing norm."""
    head_dim: int = 0
    """Channels of a head where query heads share value heads, else 0."""
    sharing: int = 1
    """Query heads that read one value head."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen for a fold, and the squared error of its readers' outputs."""

    strength: float
    plain_error: float
    error: float
    reference: float
    """Sum of squares of the outputs themselves."""


def scale(
    model: Any,
    folds: Sequence[Fold],
    rows: Sequence[Sequence[int]],
    rounded: Round,
    *,
    dtype: str,
    report: Callable[[int, str], None],
) -> tuple[dict[str, Choice], dict[str, Tensor]]:
    """Scale a model in place.

    Args:
        model: In float32; what it computes stays.
        folds: No two have a reader in common.
        rows: Token ids; each row is one forward pass of the model as it is.
        rounded: The weight format.
        dtype: Type that norms are stored in: float16 or float32.
        report: Called with the number of folds done and the next one's name.

    Returns:
        The choice for each fold by its first reader; what each reader is given by the scaled
        model, [tokens, channels].
    """
    import torch

    chosen: dict[str, Choice] = {}
    given: dict[str, Tensor] = {}
    with torch.inference_mode():
        seen = _inputs(model, folds, rows)
        for done, fold in enumerate(folds):
            name = fold.readers[0]
            report(done, name)
            inputs = seen.pop(name)
            chosen[name], factors = choose(model, fold, inputs, rounded, dtype=dtype)
            apply(model, fold, factors)
            given |= dict.fromkeys(fold.readers, inputs / _spread(fold, factors))
    return chosen, given


def choose(
    model: Any, fold: Fold, inputs: Tensor, rounded: Round, *, dtype: str
) -> tuple[Choice, Tensor]:
    """Return the exponent with the least error of the readers' outputs, and its factors by channel.

    Args:
        model: As it is before this fold.
        fold: Whose readers and writer are looked at, not changed.
        inputs: What the readers were given, [tokens, channels].
        rounded: The weight format.
        dtype: Type that norms are stored in.
    """
    import torch

    weight = torch.cat([model.get_submodule(name).weight for name in fold.readers])
    size = _written(fold, inputs.square().mean(0)).sqrt().clamp(min=1e-6)
    exact = inputs @ weight.T
    errors: list[float] = []
    tried: list[Tensor] = []
    for strength in STRENGTHS:
        factors = size**strength
        # About 1, so that neither weights nor activations leave what float16 can hold.
        factors = factors / torch.sqrt(factors.max() * factors.min())
        read = _spread(fold, factors)
        kept = torch.from_numpy(rounded((weight * read).numpy()))
        given = inputs / read * _kept_gains(model, fold, factors, dtype)
        errors.append(float((given @ kept.T - exact).square().sum()))
        tried.append(factors)
    # A format that overflows gives no number: never the least.
    best = min(range(len(errors)), key=lambda at: (not errors[at] < float("inf"), errors[at]))
    choice = Choice(
        strength=STRENGTHS[best],
        plain_error=errors[0],
        error=errors[best],
        reference=float(exact.square().sum()),
    )
    return choice, tried[best]


def apply(model: Any, fold: Fold, factors: Tensor) -> None:
    """Divide what the writer writes by ``factors`` [written channels] and multiply the readers."""
    import torch

    with torch.no_grad():
        for name in fold.readers:
            model.get_submodule(name).weight.mul_(_spread(fold, factors))
        writer = model.get_submodule(fold.writer)
        if fold.rows is None:
            writer.weight.add_(fold.offset).div_(factors).sub_(fold.offset)
            return
        part = slice(*fold.rows)
        writer.weight[part].div_(factors[:, None])
        if writer.bias is not None:
            writer.bias[part].div_(factors)


def _inputs(model: Any, folds: Sequence[Fold], rows: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """Return per first reader what it was given, [at most about TOKENS, channels]."""
    import torch

    found: dict[str, list[Tensor]] = {fold.readers[0]: [] for fold in folds}
    spacing = max(1, sum(map(len, rows)) // TOKENS)

    def watch(name: str) -> Any:
        def hook(_module: Any, inputs: Any) -> None:
            found[name].append(inputs[0].flatten(0, -2)[::spacing].clone())

        return hook

    hooks = [model.get_submodule(n).register_forward_pre_hook(watch(n)) for n in found]
    for ids in rows:
        model(input_ids=torch.tensor([list(ids)]), use_cache=False)
    for hook in hooks:
        hook.remove()
    return {name: torch.cat(parts) for name, parts in found.items()}


def _written(fold: Fold, values: Tensor) -> Tensor:
    """Return one value per written channel: the mean over the query heads that share it."""
    if fold.sharing == 1:
        return values
    return values.view(-1, fold.sharing, fold.head_dim).mean(1).flatten()


def _spread(fold: Fold, values: Tensor) -> Tensor:
    """Return one value per input of the readers from one per written channel."""
    if fold.sharing == 1:
        return values
    return values.view(-1, 1, fold.head_dim).expand(-1, fold.sharing, -1).flatten()


def _kept_gains(model: Any, fold: Fold, factors: Tensor, dtype: str) -> Tensor | float:
    """Return what storing the divided gains makes of each channel, as a factor near 1."""
    import torch

    if fold.rows is not None or dtype == "float32":
        return 1.0
    gains = (model.get_submodule(fold.writer).weight + fold.offset) / factors
    stored = (gains - fold.offset).to(getattr(torch, dtype)).float() + fold.offset
    return torch.where(gains == 0, torch.ones_like(gains), stored / gains)
