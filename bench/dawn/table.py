"""Own the tables of `bench/results/dawn.md`: `python -m bench.dawn.table SYNTHETIC.json`.

Reads what `bench.dawn.synthetic --read` wrote, and prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

NUM_KERNELS = 6


def speeds(entries: Sequence[Mapping[str, Any]], gb_s: float) -> Iterator[str]:
    """Yield the table of speeds: a line for each model and prompt."""
    yield (
        "| model | prompt | first token | prefill | decode (range) | a token: whole, waiting, GPU "
        "| floor | dispatches, submits |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for entry in entries:
        for tokens, run in entry["speed"]["prompts"].items():
            read = entry["weight_bytes"] + entry["cache_bytes_per_token"] * int(tokens)
            low, high = run["decode_tok_s_range"]
            yield (
                f"| {entry['name'].removeprefix('random-')} | {tokens} "
                f"| {run['first_token_ms']:.0f} ms | {run['prefill_tok_s']:.0f} tok/s "
                f"| {run['decode_tok_s']:.0f} tok/s ({low:.0f}-{high:.0f}) "
                f"| {run['token_ms']:.1f}, {run['wait_ms']:.1f}, "
                f"{run['decode_kernels']['gpu_ms']:.1f} ms | {read / gb_s / 1e6:.2f} ms "
                f"| {entry['speed']['dispatches_per_token']:g}, "
                f"{entry['speed']['submits_per_token']:g} |"
            )


def kernels(entries: Sequence[Mapping[str, Any]], tokens: str) -> Iterator[str]:
    """Yield the table of where the GPU's time goes, after and in a prompt of ``tokens``."""
    yield "| model | what | GPU | kernels: ms (calls) |"
    yield "|---|---|---|---|"
    for entry in entries:
        run = entry["speed"]["prompts"][tokens]
        for what, key in (("prompt", "prefill_kernels"), ("a token", "decode_kernels")):
            parts = ", ".join(
                f"{name.removesuffix('_kernel')} {one['us'] / 1e3:.2f} ({one['calls']})"
                for name, one in list(run[key]["kernels"].items())[:NUM_KERNELS]
            )
            yield (
                f"| {entry['name'].removeprefix('random-')} | {what} "
                f"| {run[key]['gpu_ms']:.1f} ms | {parts} |"
            )


def temperatures(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the table of answers by temperature: 0 takes the best token, others sample."""
    yield "| model | temperature | answer (range) | dispatches |"
    yield "|---|---|---|---|"
    for entry in entries:
        for temperature, run in entry["speed"].get("temperatures", {}).items():
            low, high = run["answer_tok_s_range"]
            yield (
                f"| {entry['name'].removeprefix('random-')} | {temperature} "
                f"| {run['answer_tok_s']:.0f} tok/s ({low:.0f}-{high:.0f}) "
                f"| {run['dispatches_per_token']:g} |"
            )


def agreements(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the table of forced decoding against torch."""
    yield "| model | positions | same best token | largest logit difference | WebGPU errors |"
    yield "|---|---|---|---|---|"
    for entry in entries:
        if entry["forced_top1_agreement"] is not None:
            yield (
                f"| {entry['name'].removeprefix('random-')} | {entry['positions']} "
                f"| {entry['forced_top1_agreement']:.4f} | {entry['max_logit_difference']:.2g} "
                f"| {len(entry['webgpu_errors'])} |"
            )


def main(argv: Sequence[str]) -> int:
    """Run one command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.dawn.table", description=__doc__)
    parser.add_argument("entries", type=Path, nargs="+", help="what `synthetic --read` wrote")
    parser.add_argument("--memory-gb-s", type=float, default=3010, help="of the floor; H100: 3010")
    parser.add_argument("--kernels-at", default="512", help="prompt whose kernels are listed")
    options = parser.parse_args(argv)
    entries = [one for path in options.entries for one in json.loads(path.read_text("utf-8"))]
    timed = [entry for entry in entries if entry["speed"]]
    tables = (agreements(entries), speeds(timed, options.memory_gb_s), temperatures(timed))
    for table in (*tables, kernels(timed, options.kernels_at)):
        sys.stdout.write("\n".join(table) + "\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
