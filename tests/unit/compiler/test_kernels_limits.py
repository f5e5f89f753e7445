"""The lint of shaders: each limit of WebGPU and of WGSL, broken once."""

from __future__ import annotations

import pytest

from tests.shader_cases import BROKEN, GOOD, buffers
from webslm.basics.errors import StageFailed
from webslm.compiler.passes.limits import check_shaders, shader_problems
from webslm.compiler.profiles import PROFILES
from webslm.schema import Profile


def test_a_shader_at_the_limits_passes() -> None:
    assert shader_problems(GOOD, dtype="float32") == []


@pytest.mark.parametrize(("old", "new", "problem"), BROKEN, ids=[case[2] for case in BROKEN])
def test_a_shader_beyond_a_limit_is_named(old: str, new: str, problem: str) -> None:
    text = GOOD.replace(old, new)
    assert text != GOOD
    with pytest.raises(StageFailed, match=f"profile desktop: good_kernel: .*{problem}"):
        check_shaders({"good_kernel": text}, dtype="float32")


def test_more_buffers_than_ten_are_counted() -> None:
    assert shader_problems(buffers(10), dtype="float32") == []
    assert shader_problems(buffers(11), dtype="float32") == ["11 storage buffers, at most 10"]


def test_a_binding_of_fixed_size_keeps_to_the_profile() -> None:
    """128 MiB is what every device binds; the page's first request is 1 GiB."""
    text = GOOD.replace("array<f32>;", f"array<vec4<f32>, {(128 << 20) // 16 + 1}>;")
    assert shader_problems(text, dtype="float32") == []
    assert shader_problems(text, dtype="float32", limits=PROFILES[Profile.mobile]) == [
        "a binding of 134217744 bytes (a_ptr), at most 134217728"
    ]


def test_f16_is_right_in_a_float16_library_that_enables_it() -> None:
    text = GOOD.replace("x : i32", "x : f16")
    assert shader_problems(text, dtype="float16") == ["f16 without 'enable f16'"]
    assert shader_problems("enable f16;\n" + text, dtype="float16") == []


def test_the_most_of_all_shaders_is_returned() -> None:
    small = GOOD.replace("2048>;\n@compute", "4>;\n@compute").replace("(32, 8, 1)", "(16)")
    assert check_shaders({"big": GOOD, "small": small}, dtype="float32") == {
        "threads": 256,
        "workgroup_bytes": 32768,
        "storage_buffers": 1,
        "uniform_bytes": 8,
        "function_bytes": 8192,
    }
    assert check_shaders({"small": small}, dtype="float32")["workgroup_bytes"] == 64
