"""Own how transformers is given a checkpoint: nothing that it would make up goes unnoticed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.basics.errors import StageFailed
from webslm.model.prompts import rendering
from webslm.training.torch_mode import quiet

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAMED = 3


def load_causal_lm(checkpoint: Path, **options: Any) -> PreTrainedModel:
    """Return a checkpoint's model with all of its weights and no others.

    transformers fills what a checkpoint lacks with random numbers and leaves out what it does not
    know; either is refused here.

    Args:
        checkpoint: Folder with config.json and safetensors weights.
        options: Of ``from_pretrained``: type, attention, quantization, place.

    Raises:
        StageFailed: Weights are missing, unknown or of another shape.
    """
    with quiet():
        from transformers import AutoModelForCausalLM

        model, found = AutoModelForCausalLM.from_pretrained(
            checkpoint,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **options,
        )
    _check_whole(checkpoint, found)
    loaded: PreTrainedModel = model
    return loaded


def _check_whole(checkpoint: Path, found: Mapping[str, Any]) -> None:
    kinds = {
        "missing": sorted(found["missing_keys"]),
        "unknown": sorted(found["unexpected_keys"]),
        "of another shape": sorted(str(key[0]) for key in found["mismatched_keys"]),
    }
    problems = [
        f"{len(names)} {kind} ({', '.join(names[:NAMED])})"
        for kind, names in kinds.items()
        if names
    ]
    if problems or found["error_msgs"]:
        raise StageFailed(
            f"{checkpoint}: weights are {'; '.join([*problems, *found['error_msgs']])}",
            hint="config.json and weights are not of one model",
        )


def load_tokenizer(checkpoint: Path) -> Any:
    """Return the tokenizer of a folder.

    Raises:
        StageFailed: It cannot be read.
    """
    with quiet():
        return rendering.load_tokenizer(checkpoint)


def read_as_transformers(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a config.json with every value that transformers puts where none is given.

    None: this transformers refuses it, for a key that may mean nothing (``use_cache: "yes"``).
    """
    with quiet():
        from transformers import AutoConfig

        kind = config["model_type"]
        # The nested objects are changed in place.
        given = copy.deepcopy({k: v for k, v in config.items() if k != "model_type"})
        try:
            read: dict[str, Any] = AutoConfig.for_model(kind, **given).to_dict()
        except _refusals():
            return None
    return read


def usable_generation(config: Mapping[str, Any]) -> str | None:
    """Return why transformers would not save generation settings; None: it would."""
    with quiet():
        from transformers import GenerationConfig

        try:
            GenerationConfig.from_dict(copy.deepcopy(dict(config))).validate(strict=True)
        except _refusals() as exc:
            return _first_line(exc)
    return None


def _refusals() -> tuple[type[Exception], ...]:
    """Return what transformers' checks of configurations raise."""
    from huggingface_hub.errors import StrictDataclassError

    wrong_values = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError)
    return (*wrong_values, StrictDataclassError)


def _first_line(exc: Exception) -> str:
    lines = str(exc).strip().splitlines()
    return lines[0] if lines else type(exc).__name__
