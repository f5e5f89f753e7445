"""A fine-tune through rounded weights, frozen layers computed once, a shared start: all the same
sums, or exactly what the format keeps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import training
from webslm.schema import FinetuneStageConf, LaunchConf, LoraConf, QuantConf

Q4 = QuantConf(name="q4f32_1", bits=4, group_size=32, dtype="float32", scale_encoding="f32-to-bf16")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return training.make_base(tmp_path_factory.mktemp("aware") / "base")


def tuned(folder: Path, base: Path, quant: QuantConf | None = None, **changes: Any) -> Path:
    from webslm.stages import finetune

    data = training.make_data(folder / "data")
    out = folder / "adapter"
    out.mkdir()
    conf = FinetuneStageConf(
        lora=replace(training.LORA, **changes),
        seed=0,
        launch=LaunchConf(),
        quant=quant,
        shape=None if quant is None else training.SHAPE,
    )
    finetune.run(conf, {"base": base, "data": data}, out, training.context(folder))
    return out


def answer_loss(model: Any, tokenizer: Any, base: Path) -> float:
    """Return the mean loss of the training rows' answers, in nats a token."""
    import torch

    from webslm.training import training_rows

    rows = [row["messages"] for row in training.rows()]
    total, count = 0.0, 0
    with torch.inference_mode():
        for row in training_rows.as_given(tokenizer, base, rows, LoraConf(max_length=256)):
            labels = torch.tensor([row.labels])
            loss = model(input_ids=torch.tensor([row.input_ids]), labels=labels).loss
            total += float(loss) * row.trained
            count += row.trained
    return total / count


def rounded_merge(base: Path, adapter: Path) -> Any:
    """Return base and adapter merged and rounded, as ``convert`` stores them."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from webslm.model.architectures import architecture
    from webslm.model.weights.rounding import rounded
    from webslm.training.torch_mode import quiet

    with quiet():
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
        merged = model.merge_and_unload()
    named = dict(merged.named_parameters())
    with torch.no_grad():
        for parameter in architecture("qwen2").parameters(training.SHAPE):
            for source in parameter.sources if parameter.quantize else ():
                named[source].copy_(rounded(named[source], Q4))
    return merged


def test_what_is_learnt_through_rounding_survives_it(base: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    names = {}
    for name, quant in (("plain", None), ("aware", Q4)):
        (tmp_path / name).mkdir()
        adapter = tuned(tmp_path / name, base, quant, epochs=30.0, r=8, alpha=16)
        log = (adapter / "train_log.json").read_text()
        last = json.loads(log)["loss"][-1][1]
        names[name] = (last, answer_loss(rounded_merge(base, adapter), tokenizer, base))
    # The last loss was computed through the same rounding that merging ends in.
    assert names["aware"][1] == pytest.approx(names["aware"][0], abs=0.15)
    assert names["aware"][1] < names["plain"][1]


def test_upper_layers_learn_alone(base: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    adapter = tuned(tmp_path, base, layers=1)
    names = set(load_file(adapter / "adapter_model.safetensors"))
    assert names
    assert all(".layers.1." in name for name in names)


@pytest.mark.parametrize("changes", [{}, {"layers": 1}])
def test_shared_start_and_kept_states_learn_what_plain_batches_do(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    from safetensors.torch import load_file

    from webslm.training import answers, frozen_layers, shared_start

    used = {"start": 0, "states": 0}
    after, told = answers.Answers._after_start, frozen_layers.FrozenLayers.states

    def counted_start(*args: Any) -> Any:
        used["start"] += 1
        return after(*args)

    def counted_states(*args: Any) -> Any:
        found = told(*args)
        used["states"] += found is not None
        return found

    monkeypatch.setattr(answers.Answers, "_after_start", counted_start)
    monkeypatch.setattr(frozen_layers.FrozenLayers, "states", counted_states)
    (tmp_path / "quick").mkdir()
    quick = load_file(tuned(tmp_path / "quick", base, **changes) / "adapter_model.safetensors")
    assert used["start"] > 0
    assert (used["states"] > 0) is bool(changes)
    monkeypatch.setattr(shared_start, "WORTH_SHARING", 10_000)
    monkeypatch.setattr(frozen_layers, "LIMIT_BYTES", 0)
    (tmp_path / "plain").mkdir()
    plain = load_file(tuned(tmp_path / "plain", base, **changes) / "adapter_model.safetensors")
    assert quick.keys() == plain.keys()
    for name, weight in plain.items():
        assert (quick[name] - weight).abs().max() < 2e-4 * max(1.0, float(weight.abs().max()))
