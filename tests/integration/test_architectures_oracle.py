"""Every architecture's module, built for the CPU, says what transformers' own model says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.integration.architecture_models import SHAPES, random_model
from tests.integration.compiler_models import Q0F32, Q4F32, reference_logits, store
from webslm.compiler.library import build_module, native_target
from webslm.compiler.memory import buffers, library_tensors
from webslm.compiler.native import NativeModel, compile_native
from webslm.compiler.passes.pipeline import lower, planned_storages
from webslm.schema import QuantConf, ShapeConf

LIMIT = 1e-4
PROMPT, ANSWER, SECOND, END = 40, 50, 57, 64
CHEAP = ("gemma2", "llama3")
CASES = [
    pytest.param(name, quant, id=f"{name}-{quant.name}", marks=marks)
    for name in SHAPES
    for quant in (Q0F32, Q4F32)
    for marks in [() if quant is Q0F32 and name in CHEAP else pytest.mark.slow]
]


def tokens(conf: ShapeConf, count: int) -> list[int]:
    ids: list[int] = np.random.default_rng(7).integers(0, conf.vocab_size, count).tolist()
    return ids


def native(conf: ShapeConf, quant: QuantConf, model: Any, *, chunk: int) -> NativeModel:
    stored = store(model, conf, quant)
    compiled = compile_native(conf, quant, context_window_size=128, prefill_chunk_size=chunk)
    return NativeModel(compiled, stored)


def worst(found: list[np.ndarray], expected: np.ndarray) -> float:
    return float(np.abs(np.stack(found) - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize(("name", "quant"), CASES)
def test_two_turns_equal_transformers(name: str, quant: QuantConf) -> None:
    """Prompts longer than a chunk, which is longer than the window; decoding between them.

    Then the logits of all positions, also after tokens that were taken back.
    """
    conf = SHAPES[name]
    model = random_model(conf)
    built = native(conf, quant, model, chunk=16)
    ids = tokens(conf, END)
    expected = reference_logits(model, ids)
    found = [built.prefill(ids[:PROMPT])]
    found += [built.decode(token) for token in ids[PROMPT:ANSWER]]
    found.append(built.prefill(ids[ANSWER:SECOND]))
    found += [built.decode(token) for token in ids[SECOND:]]
    places = [*range(PROMPT - 1, ANSWER), *range(SECOND - 1, END)]
    assert worst(found, expected[places]) < LIMIT
    built.reset()
    # Chunks of 16 leave one position alone; the second call goes on within a page of the cache.
    first = PROMPT + 1
    assert worst([*built.all_logits(ids[:first])], expected[:first]) < LIMIT
    built.all_logits(ids[:ANSWER][::-1])
    built.forget(ANSWER)
    assert worst([*built.all_logits(ids[first:])], expected[first:]) < LIMIT
    built.forget(END - SECOND)
    assert worst([built.decode(ids[SECOND])], expected[SECOND:][:1]) < LIMIT


@pytest.mark.parametrize("name", ["gemma2", "llama3"])
def test_planned_working_space_is_what_the_compiler_plans(name: str) -> None:
    """The largest buffer of activations, told before any work, is the largest one allocated."""
    conf = SHAPES[name]
    target = native_target()
    module = build_module(conf, Q0F32, prefill_chunk_size=32, target=target)
    with target:
        storages = planned_storages(lower(module, target, chunk=32)[0], 32)
    told = buffers(conf, Q0F32, library_tensors(conf, Q0F32), context=64, chunk=32)
    assert max(storages["prefill"]) == next(one.nbytes for one in told if one.kind == "work")


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 5, 39, 40, 128])
@pytest.mark.parametrize("name", ["gemma2", "gemma3", "mistral"])
def test_windows_do_not_depend_on_the_prefill_chunk(name: str, chunk: int) -> None:
    conf = SHAPES[name]
    model = random_model(conf)
    built = native(conf, Q0F32, model, chunk=chunk)
    ids = tokens(conf, PROMPT + 3)
    expected = reference_logits(model, ids)
    found = [built.prefill(ids[:PROMPT]), *(built.decode(token) for token in ids[PROMPT:])]
    assert worst(found, expected[PROMPT - 1 :]) < LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("group", [1, 2, 3, 4, 5, 6, 7, 8])
def test_every_group_of_heads_equals_transformers(group: int) -> None:
    from tests.integration.architecture_models import small

    heads = 2 * group
    conf = small("llama", num_attention_heads=heads, num_key_value_heads=2, hidden_size=16 * heads)
    model = random_model(conf)
    built = native(conf, Q0F32, model, chunk=16)
    ids = tokens(conf, 30)
    expected = reference_logits(model, ids)
    found = [built.prefill(ids[:20]), *(built.decode(token) for token in ids[20:])]
    assert worst(found, expected[19:]) < LIMIT


def test_longrope_continues_as_transformers_with_a_cache_does() -> None:
    """Past the original length each new token is rotated by the long factors."""
    conf = SHAPES["phi3"]
    original = conf.rope_scaling.original_max_position_embeddings
    ids = tokens(conf, 90)
    assert original is not None
    assert PROMPT < original < len(ids)
    model = random_model(conf)
    built = native(conf, Q0F32, model, chunk=16)
    found = [built.prefill(ids[:PROMPT]), *(built.decode(token) for token in ids[PROMPT:])]
    cache, expected = None, []
    with torch.no_grad():
        for part in (ids[:PROMPT], *([token] for token in ids[PROMPT:])):
            answer = model(torch.tensor([part]), past_key_values=cache, use_cache=True)
            cache = answer.past_key_values
            expected.append(answer.logits[0, -1].numpy())
    assert worst(found, np.stack(expected)) < LIMIT
