"""Own what torch models predict on question rows: losses, and distances between two models.

A model's states before its head are kept, not its logits: those of all questions fill a few
megabytes, and one model at a time need be held.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.evaluation.generating import by_length, read_prefix, shared_prefix, window
from webslm.evaluation.side_by_side import side_by_side
from webslm.evaluation.survival import Forced
from webslm.training.loaded import load_model
from webslm.training.torch_mode import quiet

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor
    from transformers import PreTrainedModel

BATCH = 16
LOGITS = 1 << 25
"""Logits of one model held at a time: 128 MiB."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A question and its reference answer as tokens."""

    prompt: list[int]
    """What stands before the answer, generation prompt included; at least one token."""
    answer: list[int]
    """What is looked at: the answer, with its stop token where that counts; at least one token."""

    @property
    def ids(self) -> list[int]:
        """Return all its tokens."""
        return self.prompt + self.answer


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a model makes of probes."""

    head: Head
    states: list[Tensor]
    """Per probe the states before the head that predict its answer, [tokens, hidden]."""


class Head:
    """What a model does after its layers: the output matrix, caps, scales. Holds no layer."""

    def __init__(self, model: PreTrainedModel) -> None:
        """Take the head of ``model``, which is left as it is."""
        self._model: Any = copy.copy(model)
        self._model._modules = {**model._modules, model.base_model_prefix: _recall()}

    def logits(self, states: Tensor) -> Tensor:
        """Return the logits after given states: [tokens, hidden] to [tokens, vocabulary]."""
        import torch

        told = torch.zeros(1, len(states), dtype=torch.long)
        with torch.inference_mode():
            found: Tensor = self._model(input_ids=told, states=states[None]).logits[0].float()
        return found


def _recall() -> Any:
    """Return a module that stands for a model's layers and gives the states it is handed."""
    import torch
    from transformers.modeling_outputs import BaseModelOutputWithPast

    class Recall(torch.nn.Module):
        def forward(self, *, states: Tensor, **_: Any) -> BaseModelOutputWithPast:
            return BaseModelOutputWithPast(last_hidden_state=states)

    return Recall()


def load(checkpoint: Path, state: Mapping[str, np.ndarray] | None = None) -> PreTrainedModel:
    """Return what ``reference.load_model`` does, ready for many rows at a time."""
    return quickened(load_model(checkpoint, state))


def load_adapter(base: Path, adapter: Path) -> Any:
    """Return the base in float32 with the adapter beside its weights, not merged into them."""
    from peft import PeftModel

    with quiet():
        return PeftModel.from_pretrained(load(base), adapter).eval().get_base_model()


def quickened(model: PreTrainedModel) -> PreTrainedModel:
    """Let torch's fused attention compute a model's, where it can: a cap on scores it cannot."""
    if getattr(model.config.get_text_config(), "attn_logit_softcapping", None) is None:
        model.set_attn_implementation("sdpa")
    return model


def read(model: PreTrainedModel, probes: Sequence[Probe]) -> Reading:
    """Return what a model makes of probes; those of like length are read together."""
    import torch

    def batch(places: list[int]) -> list[Tensor]:
        return list(_states(model, [probes[place] for place in places]))

    states: list[Tensor] = [torch.empty(0)] * len(probes)
    batches = by_length([len(probe.ids) for probe in probes], BATCH)
    for places, found in zip(batches, side_by_side(model, batch, batches), strict=True):
        for place, one in zip(places, found, strict=True):
            states[place] = one
    return Reading(head=Head(model), states=states)


def _states(model: Any, probes: Sequence[Probe]) -> Iterator[Tensor]:
    import torch

    # A prompt's last token predicts the answer's first, so the prompts alone may share their start.
    longest = max(len(probe.ids) for probe in probes)
    shared = shared_prefix(
        [probe.prompt for probe in probes], longest=longest, window=window(model)
    )
    rest = [probe.ids[shared:] for probe in probes]
    width = longest - shared
    ids = torch.tensor([row + row[-1:] * (width - len(row)) for row in rest])
    mask = torch.tensor([[1] * (shared + len(row)) + [0] * (width - len(row)) for row in rest])
    with torch.inference_mode():
        cache = read_prefix(model, probes[0].prompt[:shared], len(probes))
        out = getattr(model, model.base_model_prefix)(
            input_ids=ids,
            attention_mask=mask,
            position_ids=torch.arange(shared, longest)[None].expand(len(rest), -1),
            past_key_values=cache,
            use_cache=True,
        )
    for row, probe in zip(out.last_hidden_state, probes, strict=True):
        first = len(probe.prompt) - 1 - shared
        yield row[first : first + len(probe.answer)].clone()


def save_states(reading: Reading, path: Path) -> None:
    """Write a reading's states; its head is the model's."""
    import torch
    from safetensors.torch import save_file

    save_file({"states": torch.cat(reading.states)}, path)


def load_states(path: Path, model: PreTrainedModel, probes: Sequence[Probe]) -> Reading:
    """Return the reading that ``model`` once made of ``probes``, from its file."""
    import torch
    from safetensors.torch import load_file

    sizes = [len(probe.answer) for probe in probes]
    states = torch.split(load_file(path)["states"], sizes)
    return Reading(head=Head(model), states=list(states))


def force(readings: Sequence[Reading], probes: Sequence[Probe]) -> list[list[Forced]]:
    """Return per reading and probe the loss on the answer and the distance from the last.

    Args:
        readings: What models made of the same probes; each is compared with the one before it.
        probes: The probes, in order.
    """
    import torch

    sizes = [len(probe.answer) for probe in probes]
    labels = torch.tensor([token for probe in probes for token in probe.answer])
    states = [torch.cat(reading.states) for reading in readings]
    seen: list[list[list[Tensor]]] = [[[], [], []] for _ in readings]
    chunk = max(1, LOGITS // readings[0].head.logits(states[0][:1]).shape[-1])
    for start in range(0, len(labels), chunk):
        part = slice(start, start + chunk)
        before: Tensor | None = None
        for reading, mine, (losses, same, divergence) in zip(readings, states, seen, strict=True):
            told = reading.head.logits(mine[part]).log_softmax(-1)
            losses.append(-told.gather(-1, labels[part, None])[:, 0])
            if before is not None:
                same.append(told.argmax(-1) == before.argmax(-1))
                divergence.append((before.exp() * (before - told)).sum(-1))
            before = told
    return [_totals(parts, sizes) for parts in seen]


def _totals(parts: Sequence[Sequence[Tensor]], sizes: Sequence[int]) -> list[Forced]:
    losses, same, divergence = (_sums(part, sizes) for part in parts)
    return [
        Forced(
            loss=loss or 0.0,
            tokens=size,
            same=None if equal is None else int(equal),
            divergence=far,
        )
        for size, loss, equal, far in zip(sizes, losses, same, divergence, strict=True)
    ]


def _sums(parts: Sequence[Tensor], sizes: Sequence[int]) -> list[float] | list[None]:
    """Return the sum of every run of ``sizes`` over what chunks gave; None of nothing."""
    import torch

    if not parts:
        return [None] * len(sizes)
    return [float(run.sum()) for run in torch.split(torch.cat(list(parts)), list(sizes))]


def _vocabulary(head: Head, states: Tensor) -> int:
    return head.logits(states[:1]).shape[-1]
