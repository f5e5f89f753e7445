"""The recipe of a real base at its full size: only the hub's weights separate it from a user's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import read_report
from webslm.cli.main import run

pytestmark = [pytest.mark.browser, pytest.mark.slow]
RECIPE = "recipe=medical_qwen2_5_0_5b"
# Two steps: enough that merging sees a change. What random weights say is proven, not praised.
SHORT = (
    "lora.max_steps=2",
    "lora.warmup_ratio=0",
    "lora.learning_rate=1e-3",
    # Random weights with a tied head repeat the last token, a line break, unless it is hot.
    "app.decoding.temperature=2.0",
    "app.decoding.top_p=1.0",
    "app.decoding.seed=1",
    "app.decoding.max_tokens=8",
    "verify.num_prompts=1",
    "verify.num_tokens=4",
    "verify.max_answer_tokens=4",
    "verify.min_answers=0",
    "verify.timeout_s=3600",
)


def test_recipe_at_full_size_ends_in_a_proven_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """About 500 million random parameters, on a software GPU: needs 8 GiB and patience."""
    monkeypatch.chdir(tmp_path)
    assert run([RECIPE, "base.weights=random", *SHORT, "output_dir=out"]) == 0
    proof = read_report(tmp_path / "out")["verify"]
    assert proof["greedy_agreement"]["dequantized"] == 1.0
    assert proof["console_errors"] == []
    weights = sum(path.stat().st_size for path in (tmp_path / "out").rglob("params_shard_*.bin"))
    assert weights > 250 << 20
