"""A format's facts, of every format that ships: one object says them to checks and to kernels."""

from __future__ import annotations

import dataclasses

import pytest
from omegaconf import OmegaConf

from webslm.basics.paths import conf_dir
from webslm.model.weights.format import CODE_BITS, Format, required_features
from webslm.schema import QuantConf

SHIPPED = {
    path.stem: QuantConf(**OmegaConf.to_container(OmegaConf.load(path)))  # type: ignore[arg-type]
    for path in sorted((conf_dir() / "quant").glob("q*.yaml"))
}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_format_can_be_stored_and_is_named_as_it_is(name: str) -> None:
    quant = SHIPPED[name]
    form = Format(quant)
    assert list(form.problems()) == []
    assert form.with_dtype(quant.dtype) == quant
    assert form.required_features == required_features(quant.dtype)


@pytest.mark.parametrize("bits", CODE_BITS)
def test_a_word_holds_whole_codes_around_their_middle(bits: int) -> None:
    form = Format(QuantConf(name="x", bits=bits, dtype="float32"))
    assert form.codes_per_word * bits <= 32 < (form.codes_per_word + 1) * bits
    assert 2 * form.middle == form.mask - 1


@pytest.mark.parametrize("bits", [1, 2, 5, 16])
def test_other_widths_are_refused_in_one_sentence(bits: int) -> None:
    quant = dataclasses.replace(SHIPPED["q4f32_1"], bits=bits)
    assert list(Format(quant).problems()) == [
        (f"quant.bits: {bits} bits are not supported", "0 (none), or one of 3, 4, 8")
    ]
