"""``align``: what is preferred gains over what is rejected, and the merge keeps it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import training
from webslm.basics.errors import ConfigError, StageFailed
from webslm.basics.stage import SilentProgress
from webslm.schema import AlignStageConf, DpoConf, LaunchConf, MergeStageConf
from webslm.stages import align, merge

DPO = DpoConf(epochs=4.0, learning_rate=5e-3, batch_size=2, gradient_accumulation_steps=1)
PAIRS = [
    {"prompt": question, "chosen": answer, "rejected": "I do not know."}
    for question, answer in training.ANSWERS.items()
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("align")
    base = training.make_base(folder / "base")
    data = training.make_data(folder / "data")
    training.make_adapter(folder / "adapter", base, data)
    return {"base": base, "data": data, "finetune": folder / "adapter"}


def tune(
    out: Path,
    inputs: dict[str, Path],
    pairs: list[dict[str, Any]] = PAIRS,
    scratch: Path | None = None,
    progress: SilentProgress | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Run ``align`` into ``out`` and return its metrics."""
    out.mkdir()
    path = out.parent / "pairs.jsonl"
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    conf = AlignStageConf(
        dpo=replace(DPO, path=str(path), **changes),
        lora=training.LORA,
        seed=0,
        launch=LaunchConf(checkpoint_seconds=0),
    )
    ctx = replace(
        training.context(out.parent), scratch_dir=scratch, progress=progress or SilentProgress()
    )
    return dict(align.run(conf, inputs, out, ctx))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_margin_grows_from_nothing_and_the_merge_keeps_it(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    metrics = tune(tmp_path / "a", inputs)
    log = json.loads((tmp_path / "a" / "align_log.json").read_text())
    assert log["loss"][0] == [1, pytest.approx(0.6931, abs=1e-3)]  # ln 2: no preference yet
    assert log["margin"][0] == [1, pytest.approx(0.0, abs=1e-3)]
    assert metrics["last_margin"] > 0.5
    assert metrics["last_accuracy"] == 1.0
    assert metrics["steps"] == 12
    assert sorted(contents(tmp_path / "a")) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "align_log.json",
    ]
    # The merged model, loaded alone, prefers what was chosen more than the fine-tune does.
    (tmp_path / "m").mkdir()
    merge.run(
        MergeStageConf(dtype="float32"),
        {**inputs, "align": tmp_path / "a"},
        tmp_path / "m",
        training.context(tmp_path),
    )
    training.make_merged(tmp_path / "before", inputs["base"], inputs["finetune"], inputs["data"])
    after, before = (preference(tmp_path / name, inputs["base"]) for name in ("m", "before"))
    assert min(a - b for a, b in zip(after, before, strict=True)) > 0


def preference(checkpoint: Path, base: Path) -> list[float]:
    """Return per pair the log probability of the chosen less that of the rejected answer."""
    import torch

    from webslm.training import loaded as reference

    tokenizer, model = reference.load_tokenizer(base), reference.load_model(checkpoint)

    def score(question: str, answer: str) -> float:
        head = (
            f"<|im_start|>system\n{training.SYSTEM}<|im_end|>\n"
            f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
        )
        prompt, told = tokenizer(head)["input_ids"], tokenizer(f"{answer}<|im_end|>")["input_ids"]
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([prompt + told])).logits[0, len(prompt) - 1 : -1]
        return -float(
            torch.nn.functional.cross_entropy(logits, torch.tensor(told), reduction="sum")
        )

    return [
        score(pair["prompt"], pair["chosen"]) - score(pair["prompt"], pair["rejected"])
        for pair in PAIRS
    ]


class Stopper(SilentProgress):
    """Ends a training by an exception in the middle."""

    def update(self, done: float, total: float, message: str = "") -> None:
        if done == 8:
            raise InterruptedError


def test_stopped_alignment_goes_on_to_the_same_bytes(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    tune(tmp_path / "whole", inputs)
    scratch = tmp_path / "scratch"
    with pytest.raises(InterruptedError):
        tune(tmp_path / "stopped", inputs, scratch=scratch, progress=Stopper())
    metrics = tune(tmp_path / "on", inputs, scratch=scratch)
    assert metrics["resumed_at"] == 7
    assert contents(tmp_path / "on") == contents(tmp_path / "whole")


def test_pairs_that_teach_nothing_are_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="chosen answers gained nothing"):
        tune(tmp_path / "a", inputs, learning_rate=1e-12)


def test_pair_above_the_length_is_named(inputs: dict[str, Path], tmp_path: Path) -> None:
    long = {**PAIRS[0], "rejected": "so " * 400}
    with pytest.raises(ConfigError, match=r"dpo\.path: line 2 has \d+ tokens, 256 are allowed"):
        tune(tmp_path / "a", inputs, [PAIRS[1], long])
