"""Own the merge of an adapter into its base and the proof that it took. Write no tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.basics import model_files
from webslm.basics.errors import ConfigError, StageFailed
from webslm.training.loaded import load_model
from webslm.training.torch_mode import quiet

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

BOUNDS = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 6e-2}
"""Largest distance of merged from adapter logits, as a share of the largest adapter logit."""


@dataclass(frozen=True, kw_only=True)
class Distances:
    """How far three models' logits lie apart on the probe rows, and what the merge changed."""

    merged_to_adapter: float
    merged_to_base: float
    largest_logit: float
    bound: float
    """Largest ``merged_to_adapter`` allowed here."""
    changed_tensors: int
    tensors: int
    probes: int
    parameters: int


def merge(
    base: Path, tuned: Path, probes: Sequence[Sequence[int]], *, dtype: str, folder: Path
) -> Distances:
    """Merge in float32, round once to ``dtype``, save config and weights to ``folder``.

    Args:
        base: Checkpoint folder, in the precision it came in whatever the training held it in.
        tuned: Folder of adapter_config.json and adapter_model.safetensors, or of a checkpoint all
            of whose weights learnt.
        probes: Token rows on which base, tuned and merged model are compared.
        dtype: float32, float16 or bfloat16.
        folder: Where config.json, generation_config.json and model.safetensors go.

    Raises:
        ConfigError: Unknown ``dtype``.
        StageFailed: The adapter does not fit, changes nothing, or the merged model differs
            from it or has numbers that are not finite.
    """
    import torch

    if dtype not in BOUNDS:
        raise ConfigError(f"base.dtype: {dtype!r} is not known", hint=f"one of {', '.join(BOUNDS)}")
    with quiet():
        model = load_model(base)
        kind: torch.dtype = getattr(torch, dtype)
        before = {name: weight.to(kind, copy=True) for name, weight in model.state_dict().items()}
        plain = _logits(model, probes)
        if is_adapter(tuned):
            attached = _attach(model, tuned)
            adapted = _logits(attached, probes)
            merged: PreTrainedModel = attached.merge_and_unload()
        else:
            merged = load_model(tuned)
            adapted = _logits(merged, probes)
        # Rounded and read back, so that what is measured is what is saved.
        merged = merged.to(kind).float()
        distances = _measure(merged, before, plain, adapted, probes, BOUNDS[dtype])
        merged.to(kind).save_pretrained(folder)
    return distances


def is_adapter(folder: Path) -> bool:
    """Return whether a fine-tune's output is an adapter, not a whole model."""
    return (folder / model_files.ADAPTER_CONFIG).is_file()


def _attach(model: PreTrainedModel, adapter: Path) -> Any:
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import safe_open

    with safe_open(adapter / model_files.ADAPTER_WEIGHTS, framework="pt") as file:
        named = set(file.keys())
    try:
        tuned = PeftModel.from_pretrained(model, str(adapter))
    except (RuntimeError, ValueError) as exc:
        raise StageFailed(
            f"merge: the adapter does not fit the base: {str(exc).splitlines()[0]}",
            hint="build finetune again with force=[finetune]",
        ) from exc
    lost = set(get_peft_model_state_dict(tuned, save_embedding_layers=False)) ^ named
    if lost:
        raise StageFailed(
            f"merge: {len(lost)} adapter weights found no place, {sorted(lost)[0]} is one"
        )
    return tuned.eval()


def _logits(model: Any, probes: Sequence[Sequence[int]]) -> list[Tensor]:
    """Return per probe the logits [tokens, vocabulary]."""
    import torch

    with torch.inference_mode():
        return [
            model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0].float()
            for ids in probes
        ]


def _measure(
    merged: PreTrainedModel,
    before: dict[str, Tensor],
    plain: list[Tensor],
    adapted: list[Tensor],
    probes: Sequence[Sequence[int]],
    share: float,
) -> Distances:
    import torch

    after = merged.state_dict()
    broken = [name for name, weight in after.items() if not torch.isfinite(weight).all()]
    if broken:
        raise StageFailed(
            f"merge: {broken[0]} holds numbers that are not finite",
            hint="use base.dtype=float32 or bfloat16: float16 ends at 65504",
        )
    final = _logits(merged, probes)
    largest = max(float(logits.abs().max()) for logits in adapted)
    found = Distances(
        merged_to_adapter=_distance(final, adapted),
        merged_to_base=_distance(final, plain),
        largest_logit=largest,
        bound=share * largest,
        changed_tensors=sum(
            not torch.equal(old.float(), after[name]) for name, old in before.items()
        ),
        tensors=len(before),
        probes=len(probes),
        parameters=merged.num_parameters(),
    )
    _check_distances(found)
    return found


def _check_distances(found: Distances) -> None:
    if not found.merged_to_adapter <= found.bound:
        raise StageFailed(
            f"merge: merged and adapter logits differ by {found.merged_to_adapter:.4g}, "
            f"{found.bound:.4g} is allowed",
            hint="use base.dtype=float32",
        )
    if found.changed_tensors == 0 or found.merged_to_base <= found.bound:
        raise StageFailed(
            "merge: the merged model says what the base says: the adapter changed nothing",
            hint="train longer: lora.epochs or lora.learning_rate",
        )


def _distance(left: list[Tensor], right: list[Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(left, right, strict=True))
