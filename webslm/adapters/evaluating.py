"""Own what torch models say of question rows: forced losses beside another model, and answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.adapters.reference import load_model
from webslm.adapters.torch_mode import quiet
from webslm.adapters.turns import IGNORED
from webslm.evaluation.survival import Forced

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BATCH = 16


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A question row as tokens."""

    input_ids: list[int]
    labels: list[int]
    """As in training: the token itself where an answer is said, else ``IGNORED``."""
    prompt: list[int]
    """What stands before the first answer, generation prompt included."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are chosen; temperature 0 takes the best one."""

    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0


def load_adapter(base: Path, adapter: Path) -> Any:
    """Return the base in float32 with the adapter beside its weights, not merged into them."""
    from peft import PeftModel

    with quiet():
        return PeftModel.from_pretrained(load_model(base), adapter).eval()


def force(model: Any, before: Any | None, probes: Sequence[Probe]) -> list[Forced]:
    """Return per probe the loss on its answer tokens and the distance from the step before.

    Args:
        model: This step's model.
        before: The step before's; None: there is none.
        probes: What is looked at, one at a time: logits of one row and two models are held.
    """
    return [_forced(model, before, probe) for probe in probes]


def _forced(model: Any, before: Any | None, probe: Probe) -> Forced:
    import torch

    ids = torch.tensor([probe.input_ids])
    labels = torch.tensor(probe.labels[1:])
    at = (labels != IGNORED).nonzero().squeeze(-1)
    with torch.inference_mode():
        mine = model(input_ids=ids, use_cache=False).logits[0, at].float().log_softmax(-1)
        loss = -mine.gather(-1, labels[at, None]).sum()
        same, divergence = None, None
        if before is not None:
            theirs = before(input_ids=ids, use_cache=False).logits[0, at].float().log_softmax(-1)
            same = int((mine.argmax(-1) == theirs.argmax(-1)).sum())
            divergence = float((theirs.exp() * (theirs - mine)).sum())
    return Forced(loss=float(loss), tokens=len(at), same=same, divergence=divergence)


def answer(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    stops: Collection[int],
    limit: int,
    sampling: Sampling,
    seed: int,
) -> Iterator[tuple[list[int], bool]]:
    """Yield (tokens without the stop token, whether one came) for every prompt, in order.

    Prompts are answered in batches, padded on the left.
    """
    import torch
    from transformers import GenerationConfig

    pad = min(stops)
    chosen: dict[str, Any] = {"do_sample": False}
    if sampling.temperature > 0:
        # top_k 0: web-llm has no such limit, transformers' default of 50 would be one.
        chosen = {
            "do_sample": True,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": 0,
        }
    if sampling.repetition_penalty != 1:
        chosen["repetition_penalty"] = sampling.repetition_penalty
    config = GenerationConfig(
        max_new_tokens=limit, eos_token_id=sorted(stops), pad_token_id=pad, **chosen
    )
    torch.manual_seed(seed)
    for start in range(0, len(prompts), BATCH):
        batch = prompts[start : start + BATCH]
        width = max(map(len, batch))
        ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in batch])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in batch])
        with torch.inference_mode(), quiet():
            out = model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
        for row in out[:, width:].tolist():
            end = next((at for at, token in enumerate(row) if token in stops), None)
            yield row[:end], end is not None
