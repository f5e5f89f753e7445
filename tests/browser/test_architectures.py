"""Other architectures than Qwen2, in the browser: every token and logit against torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.browser.chain import make_chain, run_verify, verify_conf
from tests.graphics import needs_float16
from tests.integration.architecture_models import FULL, SHAPES, SLIDING, changed, small
from tests.integration.compiler_models import Q0F16, Q0F32, Q3F16, Q4F16, Q8F16
from webslm.schema import CompilerConf, QuantConf, ShapeConf

pytestmark = pytest.mark.browser
# Prompts are longer than a chunk, and a chunk is longer than the window.
COMPILER = CompilerConf(context_window_size=128, prefill_chunk_size=24)
WINDOW = 9
NUM_PROMPTS, NUM_TOKENS = 2, 20
LLAMA = {"num_attention_heads": 9, "num_key_value_heads": 3, "hidden_size": 72}
ROUNDING = {"float32": 1e-4, "float16": 0.02}
"""What arithmetic may move a logit of these models by."""
half = pytest.param(Q4F16, id="q4f16_1", marks=needs_float16)
single = pytest.param(Q0F32, id="q0f32")


def prove(root: Path, shape: ShapeConf, quant: QuantConf) -> None:
    """Demand torch's logits and greedy tokens, in float32 without any tolerance."""
    make_chain(root, quant, shape=shape, compiler=COMPILER)
    exact, rounding = quant.dtype == "float32", ROUNDING[quant.dtype]
    cfg = verify_conf(
        quant,
        num_prompts=NUM_PROMPTS,
        num_tokens=NUM_TOKENS,
        max_answer_tokens=NUM_TOKENS,
        min_greedy_agreement=1.0,
        min_forced_top1_agreement=1.0 if exact else 0.95,
        tie_gap=0.0 if exact else rounding,
    )
    # Its gates compare with the weights that the shards stand for, whatever these have lost.
    metrics = run_verify(root, root / "out", cfg, shape=shape)
    assert metrics["max_logit_difference"]["dequantized"] < rounding
    # A model that repeats one token would agree with anything.
    assert all(len(set(answer["answer"])) > 3 for answer in metrics["answers"])
    if exact:
        same = [None] * NUM_PROMPTS
        assert metrics["first_differences"] == {"dequantized": same, "merged": same}
        assert metrics["forced_top1_agreement"] == {"dequantized": 1.0, "merged": 1.0}
        assert metrics["max_logit_difference"]["merged"] < rounding


@pytest.mark.parametrize("quant", [single, half])
def test_gemma2_with_caps_and_windows_says_torchs_tokens(tmp_path: Path, quant: QuantConf) -> None:
    """The cheapest model with every kernel of our own: attention, caps, norms on both sides."""
    shape = small(
        "gemma2",
        vocab_size=512,
        max_position_embeddings=512,
        layer_types=[SLIDING, FULL],
        attn_logit_softcapping=5.0,
        final_logit_softcapping=8.0,
        hidden_act="gelu_pytorch_tanh",
        query_pre_attn_scalar=24,
        sliding_window=WINDOW,
    )
    prove(tmp_path, shape, quant)


def shape_of(name: str, changes: Mapping[str, int]) -> ShapeConf:
    """Return a small shape, as large as the tokenizer and the prompts ask for."""
    return changed(
        SHAPES[name],
        vocab_size=512,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        **changes,
    )


@needs_float16
@pytest.mark.slow
@pytest.mark.parametrize("quant", [Q0F16, Q8F16, Q3F16], ids=lambda quant: str(quant.name))
def test_every_float16_format_says_torchs_tokens(tmp_path: Path, quant: QuantConf) -> None:
    """Widths of 72 fill no whole group of any format."""
    prove(tmp_path, shape_of("llama3", LLAMA), quant)


@pytest.mark.slow
@pytest.mark.parametrize("quant", [single, half])
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("llama3", LLAMA),
        ("qwen2_untied", {}),
        ("smollm2", {"num_attention_heads": 14, "num_key_value_heads": 2, "hidden_size": 224}),
        ("qwen3", {}),
        ("mistral", {"sliding_window": WINDOW}),
        ("gemma3", {"sliding_window": WINDOW}),
        ("phi3", {}),
    ],
)
def test_architecture_says_torchs_tokens(
    tmp_path: Path, name: str, changes: dict[str, int], quant: QuantConf
) -> None:
    """The pairs of heads give groups of 1, 2, 3, 4 and 7 to the decode kernels."""
    prove(tmp_path, shape_of(name, changes), quant)
