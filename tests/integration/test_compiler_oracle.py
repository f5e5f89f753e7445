"""The library's own module, built for the CPU, says what transformers says."""

from __future__ import annotations

import numpy as np
import pytest

from tests.integration.compiler_models import (
    Q0F16,
    Q0F32,
    Q3F16,
    Q3F32,
    Q4F16,
    Q4F32,
    Q8F16,
    Q8F32,
    random_model,
    reference_logits,
    shape,
    store,
)
from webslm.compiler.native import NativeModel, compile_native
from webslm.schema import QuantConf, ShapeConf

PROMPT = 40
TOKENS = 64
SHAPES = {
    "tied": shape(),
    "untied": shape(tie_word_embeddings=False),
    "no_bias": shape(attention_bias=False),
    "multi_query": shape(num_key_value_heads=1, head_dim=16),
    "no_groups": shape(num_key_value_heads=4, rope_theta=1e6, rms_norm_eps=1e-5),
    # 72 inputs: the last group of 32 is not full, and no block of the kernels is either.
    "odd": shape(hidden_size=72, intermediate_size=100, head_dim=12, num_attention_heads=6),
}
SHAPES["odd"].num_key_value_heads = 3
LIMIT = {"float32": 1e-4, "float16": 2e-2}


def worst_error(
    conf: ShapeConf, quant: QuantConf, *, chunk: int, activations: str | None = None
) -> float:
    model = random_model(conf)
    stored = store(model, conf, quant)
    ids = np.random.default_rng(7).integers(0, conf.vocab_size, TOKENS).tolist()
    expected = reference_logits(model, ids)
    sizes = {"context_window_size": 128, "prefill_chunk_size": chunk}
    compiled = compile_native(conf, quant, **sizes, activations=activations)
    native = NativeModel(compiled, stored)
    found = [native.prefill(ids[:PROMPT])]
    found += [native.decode(token) for token in ids[PROMPT:]]
    difference = np.abs(np.stack(found) - expected[PROMPT - 1 :])
    return float(difference.max() / np.abs(expected).max())


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("quant", [Q0F32, Q4F32], ids=["q0f32", "q4f32_1"])
def test_native_logits_equal_transformers(name: str, quant: QuantConf) -> None:
    # 16 does not divide 40: the last chunk is shorter; a chunk of 39 leaves a remainder of one.
    assert worst_error(SHAPES[name], quant, chunk=16) < LIMIT["float32"]


@pytest.mark.parametrize("quant", [Q3F32, Q8F32], ids=["q3f32_1", "q8f32_1"])
def test_native_logits_equal_transformers_for_other_widths(quant: QuantConf) -> None:
    # Of 72 and 100 inputs neither width fills its last group.
    assert worst_error(SHAPES["odd"], quant, chunk=16) < LIMIT["float32"]


@pytest.mark.parametrize("chunk", [1, 39, 40, 128])
def test_native_logits_do_not_depend_on_the_prefill_chunk(chunk: int) -> None:
    assert worst_error(SHAPES["tied"], Q4F32, chunk=chunk) < LIMIT["float32"]


@pytest.mark.parametrize("quant", [Q0F16, Q3F16, Q4F16, Q8F16], ids=lambda quant: quant.name)
def test_native_float16_logits_are_near_transformers(quant: QuantConf) -> None:
    assert worst_error(SHAPES["tied"], quant, chunk=16) < LIMIT["float16"]


@pytest.mark.parametrize(
    ("name", "quant"),
    [
        ("odd", Q4F32),
        pytest.param("untied", Q4F32, marks=pytest.mark.slow),
        pytest.param("tied", Q0F32, marks=pytest.mark.slow),
        pytest.param("tied", Q3F32, marks=pytest.mark.slow),
    ],
)
def test_native_float16_over_float32_weights_is_near_transformers(
    name: str, quant: QuantConf
) -> None:
    """The second library of ``precision=both``: the same stored tensors, 24 steps of decoding."""
    conf = SHAPES[name]
    error = worst_error(conf, quant, chunk=16, activations="float16")
    # Above what float32 leaves: the activations did pass through float16.
    assert LIMIT["float32"] < error < LIMIT["float16"]


def test_native_forgets_after_reset() -> None:
    conf = shape()
    model = random_model(conf)
    compiled = compile_native(conf, Q0F32, context_window_size=64, prefill_chunk_size=32)
    native = NativeModel(compiled, store(model, conf, Q0F32))
    first = native.prefill([5, 6, 7])
    native.decode(9)
    native.reset()
    np.testing.assert_array_equal(native.prefill([5, 6, 7]), first)


def test_native_sampling_functions_pick_the_argmax() -> None:
    import tvm

    conf = shape(vocab_size=3000)
    compiled = compile_native(conf, Q0F32, context_window_size=64, prefill_chunk_size=32)
    native = NativeModel(compiled, store(random_model(conf), conf, Q0F32))
    logits = native.prefill([1, 2, 3])
    given = tvm.runtime.tensor(logits.reshape(1, 1, -1))
    cold = tvm.runtime.tensor(np.array([1e-6], np.float32))
    probabilities = native.function("softmax_with_temperature")(given, cold)
    flat = tvm.runtime.tensor(probabilities.numpy().reshape(1, -1))
    found = native.function("argsort_probs")(flat)
    # The first result is the row as it was: nothing sorted it.
    np.testing.assert_array_equal(found[0].numpy(), flat.numpy())
    token = native.function("sample_with_top_p")(
        found[0],
        found[1],
        tvm.runtime.tensor(np.array([0.7], np.float32)),
        tvm.runtime.tensor(np.array([0], np.int32)),
        tvm.runtime.tensor(np.array([0.95], np.float32)),
    )
    assert token.numpy().tolist() == [int(logits.argmax())]
