"""What PyTorch says of a checkpoint and of other weights in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import training
from webslm.basics.errors import StageFailed
from webslm.evaluation import answering
from webslm.training import loaded as reference

PROMPT = [1, 40, 50, 60, 7]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return training.make_base(tmp_path_factory.mktemp("reference") / "base")


def state_of(folder: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    tensors: dict[str, Any] = load_file(folder / "model.safetensors")
    return tensors


def top1(model: Any, continuation: list[int]) -> list[int]:
    return [step[0][0] for step in answering.forced_best(model, PROMPT, continuation)]


def test_greedy_is_what_transformers_generates(base: Path) -> None:
    import torch

    model = reference.load_model(base)
    found = answering.greedy(model, PROMPT, 12, stop_ids=())
    ids = torch.tensor([PROMPT])
    generated = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=12,
        do_sample=False,
        eos_token_id=None,
    )
    assert found.tokens == generated[0].tolist()[len(PROMPT) :]
    assert not found.stopped
    with torch.inference_mode():
        logits = model(generated).logits[0, len(PROMPT) - 1 : -1].numpy()
    top = np.sort(logits, axis=-1)[:, ::-1]
    assert [[token for token, _ in step] for step in found.best] == np.argsort(
        -logits, axis=-1, kind="stable"
    )[:, : answering.KEPT].tolist()
    assert np.array([[value for _, value in step] for step in found.best]) == pytest.approx(
        top[:, : answering.KEPT], abs=1e-5
    )
    assert found.gaps == pytest.approx((top[:, 0] - top[:, 1]).tolist(), abs=1e-5)


def test_answers_of_a_batch_are_those_of_each_prompt_alone(base: Path) -> None:
    model = reference.load_model(base)
    prompts = [PROMPT, PROMPT[:2], [*PROMPT, 90, 91, 92, 17, 8], [3]]
    alone = [answering.greedy(model, prompt, 12, stop_ids=()) for prompt in prompts]
    # One answer ends early: the others go on beside it.
    stops = {alone[1].tokens[2]}
    together = answering.greedy_answers(model, prompts, 12, stops)
    for one, other in zip(alone, together, strict=True):
        end = next((at + 1 for at, token in enumerate(one.tokens) if token in stops), 12)
        assert other.tokens == one.tokens[:end]
        assert other.stopped == (one.tokens[end - 1] in stops)
        assert len(other.best) == len(other.tokens)


def test_greedy_ends_with_the_stop_token(base: Path) -> None:
    model = reference.load_model(base)
    free = answering.greedy(model, PROMPT, 12, stop_ids=())
    stop = free.tokens[3]
    ended = answering.greedy(model, PROMPT, 12, stop_ids={stop})
    assert ended.tokens == free.tokens[: free.tokens.index(stop) + 1]
    assert ended.stopped


def test_greedy_takes_the_stop_tokens_of_the_checkpoint(base: Path) -> None:
    model = reference.load_model(base)
    free = answering.greedy(model, PROMPT, 6, stop_ids=())
    assert model.generation_config is not None
    model.generation_config.eos_token_id = [9999, free.tokens[0]]
    assert answering.greedy(model, PROMPT, 6).tokens == free.tokens[:1]


def test_forced_decoding_of_the_greedy_answer_is_the_answer(base: Path) -> None:
    model = reference.load_model(base)
    found = answering.greedy(model, PROMPT, 8, stop_ids=())
    assert top1(model, found.tokens) == found.tokens
    changed = [*found.tokens[:3], (found.tokens[3] + 1) % 512, *found.tokens[4:]]
    forced = top1(model, changed)
    assert forced[:4] == found.tokens[:4]
    assert len(forced) == len(changed)
    assert top1(model, []) == []


def test_given_weights_replace_those_of_the_checkpoint(base: Path, tmp_path: Path) -> None:
    other = training.make_base(tmp_path / "other", seed=1)
    mixed = reference.load_model(base, state_of(other))
    expected = answering.greedy(reference.load_model(other), PROMPT, 4, stop_ids=())
    found = answering.greedy(mixed, PROMPT, 4, stop_ids=())
    assert found.tokens == expected.tokens
    assert found.best == expected.best
    kept = answering.greedy(reference.load_model(base), PROMPT, 4, stop_ids=())
    assert found.best != kept.best


def test_weights_must_be_whole(base: Path) -> None:
    state = state_of(base)
    name = "model.layers.0.mlp.up_proj.weight"
    with pytest.raises(StageFailed, match=r"1 weights missing \['model.layers.0.mlp.up_proj"):
        reference.load_model(base, {k: v for k, v in state.items() if k != name})
    with pytest.raises(StageFailed, match=r"1 unknown \['extra'\]"):
        reference.load_model(base, {**state, "extra": state[name]})
    with pytest.raises(StageFailed, match=r"has shape \[64, 96\], the model wants \[96, 64\]"):
        reference.load_model(base, {**state, name: state[name].T})


def test_tied_head_may_be_given_or_left_out(base: Path) -> None:
    state = state_of(base)
    assert "lm_head.weight" not in state
    head = {"lm_head.weight": state["model.embed_tokens.weight"]}
    one, two = (
        answering.greedy(reference.load_model(base, weights), PROMPT, 3, stop_ids=()).tokens
        for weights in (state, state | head)
    )
    assert one == two


def test_answers_are_decoded_without_special_tokens(base: Path) -> None:
    tokenizer = reference.load_tokenizer(base)
    ids = tokenizer("Tea, please.<|im_end|>")["input_ids"]
    assert reference.decode(tokenizer, ids) == "Tea, please."
