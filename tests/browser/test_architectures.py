"""Other architectures than Qwen2, in the browser: every token and logit against torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.chain import make_chain, run_verify, verify_conf
from tests.integration.architecture_models import FULL, SHAPES, SLIDING, changed, small
from webslm.schema import CompilerConf, QuantConf, ShapeConf

pytestmark = pytest.mark.browser
Q0F32 = QuantConf(name="q0f32", bits=0, dtype="float32")
# Prompts are longer than a chunk, and a chunk is longer than the window.
COMPILER = CompilerConf(context_window_size=128, prefill_chunk_size=24)
WINDOW = 9
NUM_PROMPTS, NUM_TOKENS = 2, 20


def prove(root: Path, shape: ShapeConf) -> None:
    """Demand torch's greedy tokens without any tolerance, and its logits."""
    make_chain(root, Q0F32, shape=shape, compiler=COMPILER)
    cfg = verify_conf(
        Q0F32,
        num_prompts=NUM_PROMPTS,
        num_tokens=NUM_TOKENS,
        max_answer_tokens=NUM_TOKENS,
        min_forced_top1_agreement=1.0,
        tie_gap=0.0,
    )
    metrics = run_verify(root, root / "out", cfg, shape=shape)
    same = [None] * NUM_PROMPTS
    assert metrics["first_differences"] == {"dequantized": same, "merged": same}
    assert metrics["forced_top1_agreement"] == {"dequantized": 1.0, "merged": 1.0}
    # A model that repeats one token would agree with anything.
    assert all(len(set(answer["answer"])) > 3 for answer in metrics["answers"])
    assert metrics["max_logit_difference"]["merged"] < 1e-4


def test_gemma2_with_caps_and_windows_says_torchs_tokens(tmp_path: Path) -> None:
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
    prove(tmp_path, shape)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("llama3", {"num_attention_heads": 9, "num_key_value_heads": 3, "hidden_size": 72}),
        ("smollm2", {"num_attention_heads": 14, "num_key_value_heads": 2, "hidden_size": 224}),
        ("qwen3", {}),
        ("mistral", {"sliding_window": WINDOW}),
        ("gemma3", {"sliding_window": WINDOW}),
        ("phi3", {}),
    ],
)
def test_architecture_says_torchs_tokens(
    tmp_path: Path, name: str, changes: dict[str, int]
) -> None:
    """The pairs of heads give groups of 1, 2, 3, 4 and 7 to the decode kernels."""
    shape = changed(
        SHAPES[name],
        vocab_size=512,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        **changes,
    )
    prove(tmp_path, shape)
