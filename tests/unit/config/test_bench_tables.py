"""What the benchmarks of conversion, compilation and training count, and the tables they write."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import bases, training, training_gpu, training_runs
from bench.dawn import cost, judge, table
from webslm.config.compose import compose

RESULTS = Path(__file__).parents[3] / "bench" / "results"
LISTING = """\
@decode:
  call  vm.builtin.reshape in: %0 dst: %1
  call  gemv1            in: %0, %1       dst: %void
  call  vm.builtin.attention_kv_cache_attention_with_fused_qkv in: %0 dst: %2
  ret   %2

@embed:
  call  embedding        in: %0       dst: %void
  ret   %0

@prefill:
  call  gemv1            in: %0, %1       dst: %void
  ret   %0
"""
SHADERS = {"gemv1_kernel", "embedding_kernel", "kv_append_kernel", "attention_decode_kernel"}


def test_a_token_dispatches_the_shaders_of_its_own_functions() -> None:
    shaders = {*SHADERS, "rope_kernel"}
    assert cost.dispatches(LISTING, shaders) == 5
    assert cost.dispatches(LISTING, shaders, rotates=False) == 4


def test_a_function_of_two_shaders_dispatches_both() -> None:
    assert cost.dispatches(LISTING, {*SHADERS, "gemv1_kernel_1", "gemv10_kernel"}) == 5


def test_a_token_reads_all_weights_but_an_embedding_that_is_no_head() -> None:
    tied = compose(["base=qwen2_5_0_5b", "quant=q4f16_1"])
    untied = compose(["base=phi_3_5_mini", "quant=q4f16_1"])
    assert cost.weight_bytes(tied.base.shape, tied.quant) == 277_996_288
    table_bytes = 32064 * 3072 * 4.5 / 8
    whole = 3_821_079_552 * 4.5 / 8
    read = cost.weight_bytes(untied.base.shape, untied.quant)
    assert read == pytest.approx(whole - table_bytes, rel=1e-3)
    assert cost.cache_bytes_per_token(tied.base.shape, tied.quant) == 2 * 2 * 64 * 24 * 2


def test_the_library_counts_what_ran_on_the_gpu() -> None:
    measured = json.loads((RESULTS / "dawn.json").read_text(encoding="utf-8"))["temperatures"]
    page = (RESULTS / "bases.md").read_text(encoding="utf-8")
    head = next(line for line in page.splitlines() if "dispatches a token" in line and "|" in line)
    row = re.findall(r"^\| qwen2_5_0_5b .*$", page, flags=re.M)[-1]
    cells = dict(zip(head.split("|"), row.split("|"), strict=True))
    assert int(cells[" dispatches a token "]) == measured[0]["speed"]["dispatches_per_token"]


def test_the_table_of_temperatures_comes_from_its_json() -> None:
    entries = json.loads((RESULTS / "dawn.json").read_text(encoding="utf-8"))["temperatures"]
    page = (RESULTS / "dawn.md").read_text(encoding="utf-8")
    assert "\n".join(table.temperatures(entries)) in page


def test_answers_are_told_apart_by_temperature() -> None:
    answers = [
        {"temperature": heat, "tokensPerSecond": speed, "marks": [[0, 0], [5 + heat, 1]]}
        for heat, speed in ((0, 50.0), (1, 40.0), (0, 70.0), (1, 42.0))
    ]
    seen = {"marks": [[[0, 0], [7, 1]]], "answers": answers, "prompts": [], "reloadSeconds": 1.0}
    entry = judge.speed_entry(seen | {"sampled": answers})["temperatures"]
    assert entry["0"]["answer_tok_s_range"] == [50.0, 70.0]
    assert (entry["1"]["answer_tok_s"], entry["1"]["dispatches_per_token"]) == (41.0, 6)
    assert "temperatures" not in judge.speed_entry(seen)


def test_the_processor_loop_table_says_how_much_faster_ours_is() -> None:
    def run(seconds: float) -> dict[str, Any]:
        return {
            "cpu": 2 * seconds,
            "seconds": seconds,
            "rss_bytes": 2**30,
            "tokens_s": 100 / seconds,
            "steps": 31,
        }

    lines = training.table({"ours": [run(5.0), run(4.0)], "trl": [run(6.0), run(8.0)]})
    assert lines[-1].startswith("| TRL SFTTrainer | 12.0 (12.0, 16.0) | 1.50x | 6.0 (6.0, 8.0)")


def test_the_gpu_table_comes_from_its_json() -> None:
    runs = json.loads((RESULTS / "training_gpu.json").read_text(encoding="utf-8"))["runs"]
    page = (RESULTS / "training_gpu.md").read_text(encoding="utf-8")
    assert "\n".join(training_gpu.table(runs)) in page


def test_a_failed_gpu_run_is_a_line_of_its_own() -> None:
    who = {"group": "a", "batch": "2x8", "method": "qlora", "kind": "trl", "precision": "float16"}
    assert training_gpu.table([who | {"failed": "x\nno such kernel"}])[-1].endswith(
        "| failed: no such kernel | | |"
    )


def test_only_steps_after_the_first_ones_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_runs, "synchronise", lambda: None)
    clock = training_runs.Clock()
    for _ in range(5):
        clock.tick()
    found = clock.found(0.5)
    assert (found["steps"], found["all_steps"]) == (3, 5)
    assert found["seconds"] >= 0


def test_a_disk_is_timed_by_what_is_on_it(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(bytes(1 << 20))
    assert bases.disk_speed([tmp_path / "weights"]) > 0
    assert bases.disk_speed([]) == 0


def test_the_peak_of_a_stage_is_its_own_and_not_its_parents() -> None:
    held = b"x" * (256 << 20)
    words = [sys.executable, "-c", "from bench import bases; print(bases.largest_process())"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=RESULTS.parents[1]) as child:
        assert child.stdout is not None
        told = int(child.stdout.read())
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    assert 0 < told < len(held)
    # What the kernel tells a parent begins with the parent's own memory.
    assert usage.ru_maxrss * 1024 > len(held)
