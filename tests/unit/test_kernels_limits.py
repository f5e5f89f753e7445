"""The static check of shaders: each limit of WebGPU, broken once."""

from __future__ import annotations

import pytest

from webslm.compiler.passes.limits import check_shaders, shader_problems
from webslm.errors import StageFailed

GOOD = """
@group(0) @binding(0) var<storage, read> a_ptr : array<f32>;
var<workgroup> tile : array<vec4<f32>, 2048>;
@compute @workgroup_size(32, 8, 1)
fn good_kernel(
) { let x : i32 = 1i; let cse_v1 : i32 = x; }
"""


def test_a_shader_at_the_limits_passes() -> None:
    assert shader_problems(GOOD, dtype="float32") == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("(32, 8, 1)", "(32, 16, 1)", "32 x 16 x 1 threads, at most 256"),
        ("(32, 8, 1)", "(1, 1, 128)", "1 x 1 x 128 threads"),
        ("2048", "2049", "32784 bytes of shared memory, at most 32768"),
        ("vec4<f32>, 2048", "vec3<f32>, 2049", "32784 bytes of shared memory"),
        ("x : i32 =", "x : i64 =", "the type i64"),
        ("array<f32>;", "array<u16>;", "the type u16"),
        ("x : i32 =", "__x : i32 =", "the reserved name __x"),
        ("x : i32 =", "x : f16 =", "shader-f16 in a float32 library"),
        ("\n@group", "enable subgroups;\n@group", "the feature subgroups"),
        ("@compute @workgroup_size(32, 8, 1)", "@compute", "no workgroup size"),
    ],
)
def test_a_shader_beyond_a_limit_is_named(old: str, new: str, problem: str) -> None:
    text = GOOD.replace(old, new)
    assert text != GOOD
    with pytest.raises(StageFailed, match=f"good_kernel: .*{problem}"):
        check_shaders({"good_kernel": text}, dtype="float32")


def test_more_buffers_than_ten_are_counted() -> None:
    line = "@group(0) @binding(0) var<storage, read> a_ptr : array<f32>;\n"
    assert shader_problems(line * 9 + GOOD, dtype="float32") == []
    assert shader_problems(line * 10 + GOOD, dtype="float32") == ["11 buffers, at most 10"]


def test_f16_is_right_in_a_float16_library() -> None:
    assert shader_problems(GOOD.replace("x : i32", "x : f16"), dtype="float16") == []
