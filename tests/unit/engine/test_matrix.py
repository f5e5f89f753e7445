from __future__ import annotations

from dataclasses import replace

import pytest

from webslm.basics.errors import ConfigError, EnvironmentMismatch
from webslm.compiler.wasm.contract import CONTRACTS
from webslm.config.compose import compose
from webslm.engine.machine.matrix import (
    check_wheels,
    installed,
    is_in,
    mismatches,
    nearest,
    rows,
    vector_unit,
)
from webslm.engine.machine.pins import for_python
from webslm.engine.table import COMPILER_WHEELS
from webslm.schema import RuntimeConf

ROWS = rows()


def test_installed_wheels_pass() -> None:
    found = installed(["rich", "pytest"])
    check_wheels({name: version for name, version in found.items() if version}, "row")


def test_wrong_and_absent_wheels_are_named_with_the_command() -> None:
    with pytest.raises(EnvironmentMismatch) as caught:
        check_wheels({"rich": "0.0.1", "no-such-wheel": "1.0"}, "my_row")
    assert "'my_row'" in caught.value.message
    assert "needs 0.0.1" in caught.value.message
    assert "no-such-wheel is not installed" in caught.value.message
    assert "pip install 'rich==0.0.1' 'no-such-wheel==1.0'" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ROWS)
def test_row_is_what_composition_reads_and_keeps_to_its_own_ranges(name: str) -> None:
    row = compose([f"runtime={name}"]).runtime
    assert row == for_python(ROWS[name])
    assert row.name == name
    assert list(mismatches(row)) == []
    own = {"mlc-llm", "tvm", "emscripten"} if row.tools else set(COMPILER_WHEELS)
    assert {"python", "web_llm", *own} <= set(row.allowed)
    assert all(allowed.reason for allowed in row.allowed.values())
    assert row.web_llm in CONTRACTS
    assert row.web_llm_integrity.startswith("sha512-")


def test_rows_train_with_the_same_wheels() -> None:
    """Else an upgrade of the runtime would train again."""
    kept = [
        {name: pin for name, pin in row.wheels.items() if name not in row.allowed}
        for row in ROWS.values()
    ]
    assert all(wheels == kept[0] for wheels in kept)
    assert len({str(row.older) for row in ROWS.values()}) == 1


@pytest.mark.parametrize(
    ("part", "version", "row"),
    [
        ("web_llm", "0.2.79", "web_llm_0_2_84"),
        ("web_llm", "0.2.90", "web_llm_0_2_86"),
        ("apache-tvm", "0.26.0", "web_llm_0_2_86"),
        ("ziglang", "0.17.1", "web_llm_0_2_86"),
    ],
)
def test_mismatched_pair_is_told_with_reason_and_nearest_row(
    part: str, version: str, row: str
) -> None:
    pair: RuntimeConf = ROWS["web_llm_0_2_85"]
    if part == "web_llm":
        pair = replace(pair, web_llm=version)
    else:
        pair = replace(pair, wheels={**pair.wheels, part: version})
    [(text, hint)] = mismatches(pair)
    assert version in text
    assert pair.allowed[part].reason in text
    assert hint == f"the nearest row that works: runtime={row}"
    assert nearest(part, version) == row


@pytest.mark.parametrize(
    ("row", "part", "version", "better"),
    [
        ("mlc_llm_0_20", "web_llm", "0.2.79", "mlc_llm_0_19"),
        ("mlc_llm_0_19", "web_llm", "0.2.85", "mlc_llm_0_20"),
        ("mlc_llm_0_19", "mlc-llm", "0.20.0", "mlc_llm_0_20"),
        ("mlc_llm_0_20", "mlc-llm", "0.18.1", "mlc_llm_0_19"),
    ],
)
def test_pair_of_tools_and_web_llm_is_told_with_reason_and_nearest_row(
    row: str, part: str, version: str, better: str
) -> None:
    pair: RuntimeConf = ROWS[row]
    if part == "web_llm":
        pair = replace(pair, web_llm=version)
    else:
        pair = replace(pair, tools={**pair.tools, part: version})
    [(text, hint)] = mismatches(pair)
    assert text.startswith(f"runtime.{'web_llm' if part == 'web_llm' else f'tools.{part}'}: ")
    assert pair.allowed[part].reason in text
    assert hint == f"the nearest row that works: runtime={better}"


@pytest.mark.parametrize(
    ("row", "version", "fits"),
    [
        ("mlc_llm_0_19", "0.19.0", True),
        ("mlc_llm_0_19", "0.20.dev32", True),
        ("mlc_llm_0_19", "0.20.dev33", False),
        ("mlc_llm_0_19", "0.20.0", False),
        ("mlc_llm_0_20", "0.20.0", True),
        ("mlc_llm_0_20", "0.20.0.dev0", True),
        ("mlc_llm_0_20", "0.26.dev4", True),
        ("mlc_llm_0_20", "0.19.0", False),
    ],
)
def test_range_of_mlc_llm_ends_where_its_object_abi_does(
    row: str, version: str, fits: bool
) -> None:
    assert is_in(version, ROWS[row].allowed["mlc-llm"].range) is fits


@pytest.mark.parametrize(
    ("version", "row"),
    [("0.20rc1", "mlc_llm_0_20"), ("0.19rc1", "mlc_llm_0_19"), ("v0.20", "mlc_llm_0_20")],
)
def test_nearest_row_reads_versions_as_pip_does(version: str, row: str) -> None:
    assert nearest("mlc-llm", version, with_tools=True) == row


def test_ranges_are_pips() -> None:
    assert is_in("0.27.0.post1", ">=0.27.0,<0.28")
    assert not is_in("0.28.0", ">=0.27.0,<0.28")
    assert not is_in("newest", ">=0")
    with pytest.raises(ConfigError, match="no range"):
        is_in("1.0", "about 1")


def test_vector_unit_is_named() -> None:
    assert vector_unit() in ("avx512f", "avx2", "asimd", "sse4_2", "unknown")
