"""Unquantized weights: every token that the browser says is torch's, without any tolerance."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.chain import make_chain, run_verify, verify_conf
from webslm.schema import QuantConf

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Q0F32 = QuantConf(name="q0f32", bits=0, dtype="float32")
NUM_PROMPTS, NUM_TOKENS = 5, 32


def test_q0f32_says_torchs_tokens_over_five_prompts(tmp_path: Path) -> None:
    make_chain(tmp_path, Q0F32)
    cfg = verify_conf(
        Q0F32,
        num_prompts=NUM_PROMPTS,
        num_tokens=NUM_TOKENS,
        max_answer_tokens=NUM_TOKENS,
        min_forced_top1_agreement=1.0,
        tie_gap=0.0,
    )
    metrics = run_verify(tmp_path, tmp_path / "out", cfg)
    # An answer that stopped early would have compared less than it seems.
    assert [answer["stopped"] for answer in metrics["answers"]] == [False] * NUM_PROMPTS
    same = {"dequantized": [None] * NUM_PROMPTS, "merged": [None] * NUM_PROMPTS}
    assert metrics["first_differences"] == same
    assert metrics["forced_top1_agreement"] == {"dequantized": 1.0, "merged": 1.0}
    assert metrics["max_logit_difference"]["merged"] < 1e-3
