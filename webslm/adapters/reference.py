"""Own what PyTorch says, in float32, of a checkpoint or of other weights in it. Train nothing.

The browser is compared with these answers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.adapters.loading import load_causal_lm, load_tokenizer
from webslm.adapters.turns import prompt_ids
from webslm.errors import StageFailed

__all__ = [
    "Greedy",
    "decode",
    "forced_best",
    "greedy",
    "greedy_answers",
    "load_model",
    "load_tokenizer",
    "prompt_ids",
]

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel


KEPT = 32
"""Best logits per token that are kept: far more than anything is compared with."""


@dataclass(frozen=True, kw_only=True)
class Greedy:
    """A greedy answer."""

    tokens: list[int]
    """Generated tokens; the stop token, if one came, is the last."""
    best: list[list[tuple[int, float]]]
    """For each of ``tokens`` the ``KEPT`` best (token, raw logit) before it, largest first."""
    stopped: bool
    """Whether a stop token ended it, not the limit."""

    @property
    def gaps(self) -> list[float]:
        """Return per token the best minus the second-best logit."""
        return [step[0][1] - step[1][1] for step in self.best]


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
        StageFailed: The checkpoint or ``state`` lacks a weight, has one too many or one of another
            shape.
    """
    import torch

    model = load_causal_lm(checkpoint, dtype=torch.float32, attn_implementation="eager")
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
    return greedy_answers(model, [prompt_ids], max_new_tokens, stop_ids)[0]


def greedy_answers(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    stop_ids: Collection[int] | None = None,
) -> list[Greedy]:
    """Answer prompts together, each as ``greedy`` does; then read each answer once more, alone.

    The batch decides on the tokens, the second reading on their logits: padding moves a logit by
    less than a tie.
    """
    stops = frozenset(_declared_stops(model) if stop_ids is None else stop_ids)
    said = _generate(model, prompts, max_new_tokens, stops)
    return [
        Greedy(
            tokens=tokens,
            best=forced_best(model, prompt, tokens),
            stopped=tokens[-1] in stops,
        )
        for prompt, tokens in zip(prompts, said, strict=True)
    ]


def _generate(
    model: Any, prompts: Sequence[Sequence[int]], limit: int, stops: frozenset[int]
) -> list[list[int]]:
    """Return the tokens of every answer, its stop token included.

    Not transformers' own loop, which would add what the checkpoint's generation config asks for.
    """
    import torch

    width = max(map(len, prompts))
    step = torch.tensor([[0] * (width - len(row)) + list(row) for row in prompts])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts])
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    said: list[list[int]] = [[] for _ in prompts]
    past = None
    with torch.inference_mode():
        for _ in range(limit):
            out = model(
                input_ids=step,
                attention_mask=mask,
                position_ids=places,
                past_key_values=past,
                use_cache=True,
                logits_to_keep=1,
            )
            past = out.past_key_values
            step = out.logits[:, -1].argmax(-1, keepdim=True)
            for answer, (token,) in zip(said, step.tolist(), strict=True):
                if not answer or answer[-1] not in stops:
                    answer.append(token)
            if all(answer[-1] in stops for answer in said):
                break
            mask = torch.cat([mask, mask.new_ones(len(said), 1)], 1)
            places = places[:, -1:] + 1
    return said


def _declared_stops(model: PreTrainedModel) -> frozenset[int]:
    declared: Any = model.generation_config.eos_token_id
    return frozenset(declared if isinstance(declared, list) else [declared])


def forced_best(
    model: PreTrainedModel, prompt_ids: Sequence[int], continuation_ids: Sequence[int]
) -> list[list[tuple[int, float]]]:
    """Return the ``KEPT`` best (token, raw logit) before each token of a given continuation."""
    import torch

    if not continuation_ids:
        return []
    count = len(continuation_ids)
    ids = torch.tensor([[*prompt_ids, *continuation_ids[:-1]]])
    with torch.inference_mode():
        out = model(input_ids=ids, use_cache=False, logits_to_keep=count)
        logits = out.logits[0].float()
        values, tokens = logits.topk(min(KEPT, logits.shape[-1]))
    pairs = zip(tokens.tolist(), values.tolist(), strict=True)
    return [list(zip(ids, logits, strict=True)) for ids, logits in pairs]
