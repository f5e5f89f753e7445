"""``scale``: the function stays, nothing is lost where nothing is chosen, held-out rows gain."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import training
from tests.integration.architecture_models import SHAPES, random_model
from webslm.basics.paths import resolve_data
from webslm.evaluation import evaluating
from webslm.evaluation.evaluating import Probe
from webslm.model.architectures import architecture
from webslm.model.prompts.ends import stop_ids
from webslm.rows.artifact import read_messages
from webslm.schema import ConvertStageConf, QuantConf, ScaleStageConf
from webslm.stages import convert, scale
from webslm.training import clipping, scaling, turns
from webslm.training import loaded as reference

Q4 = QuantConf(name="q4f32_1", bits=4, dtype="float32", scale_encoding="f32-to-bf16")
Q4F16 = QuantConf(name="q4f16_1", bits=4, dtype="float16")
Q3F16 = QuantConf(name="q3f16_1", bits=3, group_size=40, dtype="float16")
PARAMETERS = architecture("qwen2").parameters(training.SHAPE)


@pytest.mark.parametrize("name", list(SHAPES))
def test_factors_fold_into_every_architecture(name: str) -> None:
    shape = SHAPES[name]
    model = random_model(shape)
    ids = torch.randint(3, shape.vocab_size, (1, 24), generator=torch.manual_seed(1))
    folds = list(scale.folds(architecture(shape.model_type), shape))
    with torch.inference_mode():
        before = model(input_ids=ids).logits
        for fold in folds:
            size = shape.hidden_size if fold.rows is None else fold.rows[1] - fold.rows[0]
            scaling.apply(model, fold, torch.empty(size).uniform_(0.25, 4.0))
        after = model(input_ids=ids).logits
        # One channel more, which nothing divides: the same comparison sees it.
        model.get_submodule(folds[0].readers[-1]).weight[:, 0].mul_(1.5)
        wrong = model(input_ids=ids).logits
    spread = float(before.abs().max())
    assert float((after - before).abs().max()) < 1e-5 * spread
    assert float((wrong - before).abs().max()) > 1e-4 * spread


@pytest.mark.parametrize("name", list(SHAPES))
def test_every_rounded_weight_but_a_table_has_one_fold(name: str) -> None:
    shape = SHAPES[name]
    family = architecture(shape.model_type)
    readers = [r for fold in scale.folds(family, shape) for r in fold.readers]
    rounded = {s for p in family.parameters(shape) if p.quantize for s in p.sources}
    assert {f"{reader}.weight" for reader in readers} == rounded - {"model.embed_tokens.weight"}
    assert len(readers) == len(set(readers))


def test_gains_that_float16_rounds_away_are_seen() -> None:
    # Gemma stores gains less one: 0.004 of 1 is kept to a tenth only.
    shape = SHAPES["gemma2"]
    model = random_model(shape)
    fold = next(iter(scale.folds(architecture("gemma2"), shape)))
    inputs = torch.randn(64, shape.hidden_size, generator=torch.manual_seed(1))
    inputs[:, 0] *= 1e5

    def chosen(dtype: str) -> scaling.Choice:
        with torch.inference_mode():
            return scaling.choose(model, fold, inputs, lambda weight: weight, dtype=dtype)[0]

    exact, rounded = chosen("float32"), chosen("float16")
    assert exact.error < 1e-10 * exact.reference
    assert rounded.strength == 0 or rounded.error > 1e-10 * rounded.reference


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("scale")
    base = training.make_base(root / "base", tiny=replace(training.TINY, steps=60))
    lines = resolve_data("shipped:medical/train.jsonl").read_text(encoding="utf-8").splitlines()
    data = training.make_data(root / "data", [json.loads(line) for line in lines[:24]])
    return {"merge": base, "data": data}


def scaled(inputs: dict[str, Path], quant: QuantConf, out: Path) -> tuple[Path, dict[str, Any]]:
    out.mkdir(parents=True)
    conf = ScaleStageConf(shape=training.SHAPE, quant=quant, rows=24)
    facts = scale.run(conf, inputs, out, training.context(out.parent))
    return out, dict(facts)


def shards(inputs: dict[str, Path], quant: QuantConf, out: Path) -> Path:
    out.mkdir(parents=True)
    conf = ConvertStageConf(shape=training.SHAPE, quant=quant)
    convert.run(conf, inputs, out, training.context(out.parent))
    return out


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_nothing_chosen_packs_as_if_nothing_was_asked(
    inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "STRENGTHS", (0.0,))
    monkeypatch.setattr(clipping, "SHARES", (1.0,))
    folder, facts = scaled(inputs, Q4, tmp_path / "scale")
    assert (facts["scaled"], facts["clipped"]) == (0, 0)
    asked = shards({**inputs, "scale": folder}, Q4, tmp_path / "asked")
    assert digests(asked) == digests(shards(inputs, Q4, tmp_path / "plain"))


def measured(inputs: dict[str, Path], folder: Path, quant: QuantConf) -> tuple[float, float]:
    """Return loss and divergence per answer token on rows that no stage here was given."""
    state = convert.dequantized_state(folder, PARAMETERS, quant)
    probes = held_out(inputs["merge"])
    models = (
        reference.load_model(inputs["merge"]),
        reference.load_model(inputs["merge"], state),
    )
    _, found = evaluating.force([evaluating.read(model, probes) for model in models], probes)
    tokens = sum(row.tokens for row in found)
    return sum(row.loss for row in found) / tokens, sum(
        row.divergence or 0.0 for row in found
    ) / tokens


def held_out(base: Path) -> Sequence[Probe]:
    tokenizer = reference.load_tokenizer(base)
    stops = stop_ids(base, tokenizer)
    rows = read_messages(resolve_data("shipped:medical/held_out.jsonl"))
    return [
        Probe(prompt=prompt, answer=answer)
        for number, row in enumerate(rows, 1)
        for prompt, answer in (turns.encode_last(tokenizer, row, number=number, stops=stops),)
    ]


@pytest.mark.parametrize("quant", [Q4, Q4F16, Q3F16], ids=lambda quant: quant.name)
def test_held_out_rows_gain_and_the_checkpoint_computes_the_same(
    inputs: dict[str, Path], tmp_path: Path, quant: QuantConf
) -> None:
    folder, facts = scaled(inputs, quant, tmp_path / "scale")
    assert digests(scaled(inputs, quant, tmp_path / "again")[0]) == digests(folder)
    merged, same = (reference.load_model(path) for path in (inputs["merge"], folder))
    ids = torch.tensor([held_out(inputs["merge"])[0].ids])
    with torch.inference_mode():
        expected, found = merged(input_ids=ids).logits, same(input_ids=ids).logits
    assert float((found - expected).abs().max()) < 1e-5 * float(expected.abs().max())
    assert facts["scaling_error_ratio"] <= 1
    assert facts["clipping_error_ratio"] < 1

    plain = measured(inputs, shards(inputs, quant, tmp_path / "plain"), quant)
    eased = measured(inputs, shards({**inputs, "scale": folder}, quant, tmp_path / "eased"), quant)
    assert eased[1] < 0.85 * plain[1]
    if quant.bits == 3:
        # At 4 bits this model's loss hardly moves: the divergence says what rounding costs.
        assert eased[0] < plain[0]
