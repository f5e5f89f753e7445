"""What the measurements on a GPU are made of: weights alike everywhere, medians, tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.dawn import judge, table, weights

RESULTS = Path(__file__).parents[2] / "bench" / "results" / "dawn.json"


def test_weights_come_from_names_alone() -> None:
    first = weights.values("model.layers.0.mlp.down_proj.q_weight", (40, 64), "uint32")
    again = weights.values("model.layers.0.mlp.down_proj.q_weight", (40, 64), "uint32")
    other = weights.values("model.layers.1.mlp.down_proj.q_weight", (40, 64), "uint32")
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.9


def test_codes_are_even_around_the_middle_and_never_fifteen() -> None:
    words = weights.values("a.q_weight", (2000, 8), "uint32")
    codes = np.stack([words >> np.uint32(4 * place) & np.uint32(15) for place in range(8)])
    counts = np.bincount(codes.reshape(-1), minlength=16)
    assert counts[15] == 0
    assert abs(codes.mean() - 7) < 0.05
    # A fifteen becomes the middle.
    assert counts[7] / counts[0] == pytest.approx(2, rel=0.05)


def test_scales_are_floats_that_the_shards_can_hold() -> None:
    halves = weights.values("a.q_scale", (64, 28), "float16")
    assert halves.dtype == np.float16
    wide = weights.values("a.q_scale", (64, 28), "float32")
    assert not np.any(wide.view(np.uint32) & np.uint32(0xFFFF))


def test_speeds_are_medians_over_rounds() -> None:
    rounds = [
        {
            "tokens": 100,
            "firstTokenSeconds": seconds,
            "tokensAfter": 10,
            "decodeSeconds": seconds,
            "waitSeconds": 0.01,
        }
        for seconds in (0.1, 0.2, 0.9)
    ]
    seen = {
        "marks": [[[0, 0], [7, 1], [14, 2], [14, 2]]],
        "answers": [{"tokensPerSecond": 50.0}],
        "prompts": rounds,
        "reloadSeconds": 1.0,
    }
    entry = judge.speed_entry(seen)
    assert (entry["dispatches_per_token"], entry["submits_per_token"]) == (7, 1)
    run = entry["prompts"]["100"]
    assert (run["first_token_ms"], run["prefill_tok_s"], run["decode_tok_s"]) == (200, 500, 50)
    assert run["wait_ms"] == 1.0
    assert run["decode_tok_s_range"] == [11.1, 100.0]


def test_the_tables_of_the_results_come_from_their_json() -> None:
    entries = json.loads(RESULTS.read_text(encoding="utf-8"))["random"]
    page = RESULTS.with_suffix(".md").read_text(encoding="utf-8")
    timed = [entry for entry in entries if entry["speed"]]
    for lines in (
        table.agreements(entries),
        table.speeds(timed, 3010),
        table.kernels(timed, "512"),
    ):
        assert "\n".join(lines) in page
