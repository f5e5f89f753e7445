"""Own torch's greedy answers, with the best logits at their tokens. Load nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webslm.evaluation.generating import Answer, Sampling, answer

if TYPE_CHECKING:
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

    The batch decides on the tokens, the second reading on their logits.
    """
    stops = frozenset(_declared_stops(model) if stop_ids is None else stop_ids)
    found = []
    for prompt, (said, stopped) in zip(
        prompts, answers(model, prompts, max_new_tokens, stops), strict=True
    ):
        # What a stop token is read as does not matter: nothing follows it.
        best = forced_best(model, prompt, [*said, *([0] if stopped else [])])
        tokens = [*said, *([best[-1][0][0]] if stopped else [])]
        found.append(Greedy(tokens=tokens, best=best, stopped=stopped))
    return found


def answers(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    stop_ids: Collection[int],
) -> list[Answer]:
    """Return (tokens without the stop token, whether one came) of the greedy answer to each."""
    limits = [max_new_tokens] * len(prompts)
    return answer(model, prompts, stops=stop_ids, limits=limits, sampling=Sampling(), seed=0)


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
