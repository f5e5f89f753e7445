"""Own what PyTorch says, in float32, of a checkpoint or of other weights in it. Train nothing.

The browser is compared with these answers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.adapters.torch_mode import quiet
from webslm.adapters.turns import prompt_ids
from webslm.errors import StageFailed
from webslm.prompts import rendering

__all__ = [
    "Greedy",
    "decode",
    "forced_top1",
    "greedy",
    "load_model",
    "load_tokenizer",
    "prompt_ids",
]

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class Greedy:
    """A greedy answer."""

    tokens: list[int]
    """Generated tokens; the stop token, if one came, is the last."""
    logits: Any
    """Raw logits, float32 array [token, vocabulary]."""
    stopped: bool
    """Whether a stop token ended it, not the limit."""

    @property
    def gaps(self) -> list[float]:
        """Return per token the best minus the second-best logit."""
        import numpy as np

        best = np.partition(self.logits, -2, axis=-1)[:, -2:]
        found: list[float] = (best[:, 1] - best[:, 0]).tolist()
        return found


def load_tokenizer(checkpoint: Path) -> Any:
    """Return the tokenizer of a folder; raises StageFailed where it cannot be read."""
    with quiet():
        return rendering.load_tokenizer(checkpoint)


def decode(tokenizer: Any, tokens: Sequence[int]) -> str:
    """Return the text of an answer without its special tokens."""
    text: str = tokenizer.decode(list(tokens), skip_special_tokens=True)
    return text


def load_model(checkpoint: Path, state: Mapping[str, np.ndarray] | None = None) -> PreTrainedModel:
    """Load a checkpoint in float32 on the CPU; with ``state``, replace every weight by it.

    Args:
        checkpoint: Folder with config.json and safetensors weights.
        state: Weight name in the checkpoint to array of the same shape (dequantized weights).
            A tied output head need not be given.

    Raises:
        StageFailed: ``state`` lacks a weight, has one too many or one of another shape.
    """
    import torch

    with quiet():
        from transformers import AutoModelForCausalLM

        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            checkpoint,
            dtype=torch.float32,
            attn_implementation="eager",
            local_files_only=True,
            use_safetensors=True,
        )
    if state is not None:
        _replace(model, state)
    return model.eval()


def _replace(model: PreTrainedModel, state: Mapping[str, np.ndarray]) -> None:
    import torch

    wanted = dict(model.named_parameters())
    tied = {name for name, _ in model.named_parameters(remove_duplicate=False)} - set(wanted)
    missing = sorted(set(wanted) - set(state))
    unknown = sorted(set(state) - set(wanted) - tied)
    if missing or unknown:
        raise StageFailed(
            f"reference: {len(missing)} weights missing {missing[:3]}, "
            f"{len(unknown)} unknown {unknown[:3]}"
        )
    with torch.no_grad():
        for name, parameter in wanted.items():
            value = torch.tensor(state[name], dtype=torch.float32)
            if value.shape != parameter.shape:
                raise StageFailed(
                    f"reference: {name} has shape {list(value.shape)}, "
                    f"the model wants {list(parameter.shape)}"
                )
            parameter.copy_(value)


def greedy(
    model: PreTrainedModel,
    prompt_ids: Sequence[int],
    max_new_tokens: int,
    stop_ids: Collection[int] | None = None,
) -> Greedy:
    """Answer a prompt with the best token at every step, until a stop token or the limit.

    Args:
        model: As ``load_model`` gives it.
        prompt_ids: Tokens of the prompt, generation prompt included.
        max_new_tokens: Limit, at least 1.
        stop_ids: Tokens that end an answer; None: those of the checkpoint's generation config.
    """
    import numpy as np
    import torch

    stops = _declared_stops(model) if stop_ids is None else stop_ids
    tokens: list[int] = []
    rows = []
    step = torch.tensor([list(prompt_ids)])
    past = None
    with torch.inference_mode():
        while len(tokens) < max_new_tokens and not (tokens and tokens[-1] in stops):
            out = model(input_ids=step, past_key_values=past, use_cache=True)
            past = out.past_key_values
            rows.append(out.logits[0, -1].float().numpy())
            tokens.append(int(rows[-1].argmax()))
            step = torch.tensor([tokens[-1:]])
    return Greedy(tokens=tokens, logits=np.stack(rows), stopped=tokens[-1] in stops)


def _declared_stops(model: PreTrainedModel) -> frozenset[int]:
    declared: Any = model.generation_config.eos_token_id
    return frozenset(declared if isinstance(declared, list) else [declared])


def forced_top1(
    model: PreTrainedModel, prompt_ids: Sequence[int], continuation_ids: Sequence[int]
) -> list[int]:
    """Return the best token before each token of a given continuation: as many as it has."""
    import torch

    if not continuation_ids:
        return []
    ids = torch.tensor([[*prompt_ids, *continuation_ids]])
    with torch.inference_mode():
        logits = model(input_ids=ids, use_cache=False).logits[0]
    best: list[int] = logits[len(prompt_ids) - 1 : -1].argmax(-1).tolist()
    return best
