from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

from webslm.engine.machine.matrix import rows
from webslm.engine.machine.pins import for_python

ROW = rows()["web_llm_0_2_85"]
PROJECT = Path(__file__).parents[3] / "pyproject.toml"
MINORS = ("3.10.13", "3.11.7", "3.12.1", "3.13.0")


def asked(python: str) -> dict[str, str]:
    """Return the exact pins of pyproject.toml that hold for a Python."""
    words = re.findall(r'^\s+"([^"]+==[^"]+)"', PROJECT.read_text(encoding="utf-8"), re.MULTILINE)
    found = [Requirement(word) for word in words]
    minor = python.rpartition(".")[0]
    return {
        item.name: str(item.specifier).removeprefix("==")
        for item in found
        if item.marker is None or _holds(item.marker, minor)
    }


def _holds(marker: Marker, minor: str) -> bool:
    return marker.evaluate({"python_version": minor, "extra": ""})


@pytest.mark.parametrize("python", MINORS)
def test_row_of_each_python_is_what_pip_installs_there(python: str) -> None:
    row = for_python(ROW, python)
    assert row.wheels == {name: pin for name, pin in asked(python).items() if name in row.wheels}


def test_only_the_oldest_python_has_other_pins() -> None:
    assert for_python(ROW, "3.11.0") == ROW
    older = for_python(ROW, "3.10.13")
    assert older.wheels["transformers"] != ROW.wheels["transformers"]
    assert list(older.wheels) == list(ROW.wheels)
    assert for_python(older, "3.10.13") == older


def test_pin_of_a_user_stays() -> None:
    own = replace(ROW, wheels={**ROW.wheels, "trl": "1.0.0"})
    older = for_python(own, "3.10.13")
    assert older.wheels["trl"] == "1.0.0"
    assert older.wheels["transformers"] == ROW.older.wheels["transformers"]


def test_row_without_a_file_has_its_own_pins_replaced() -> None:
    older = for_python(replace(ROW, name="mine"), "3.10.13")
    assert older.wheels["trl"] == ROW.older.wheels["trl"]
