"""A shader at the limits of WebGPU, and one change for each way beyond."""

from __future__ import annotations

GOOD = """
// A comment may say u64, __x and @workgroup_size(1024).
struct PODArgs {
  n: i32,
  packGridDimX: u32
}
@group(0) @binding(0) var<storage, read> a_ptr : array<f32>;
@group(0) @binding(1) var<uniform> podArgs : PODArgs;
var<workgroup> tile : array<vec4<f32>, 2048>;
@compute @workgroup_size(32, 8, 1)
fn good_kernel(
  @builtin(local_invocation_id) threadIdx : vec3<u32>
) { let x : i32 = 1i; var held : array<f32, 2048>;
  let used_tile = &tile; let used_a = &a_ptr; let used_args = &podArgs; held[x] = 1.0f;
}
"""
BROKEN = [
    ("(32, 8, 1)", "(32, 16, 1)", "32 x 16 x 1 threads, at most 256"),
    ("(32, 8, 1)", "(512)", "512 x 1 x 1 threads, at most 256"),
    ("(32, 8, 1)", "(1, 1, 128)", "a workgroup of 1 x 1 x 128, at most 256 x 256 x 64"),
    ("2048>;\n@compute", "2049>;\n@compute", "32784 bytes of workgroup memory, at most 32768"),
    ("vec4<f32>, 2048", "vec3<f32>, 2049", "32784 bytes of workgroup memory"),
    ("vec4<f32>, 2048", "array<array<f32, 2>, 5>, 2048", "81920 bytes of workgroup memory"),
    ("vec4<f32>, 2048", "mat4x4f, 1024", "65536 bytes of workgroup memory"),
    ("vec4<f32>, 2048>", "PODArgs, 0x2000>", "65536 bytes of workgroup memory"),
    ("held : array<f32, 2048>", "held : array<f32, 2049>", "8196 bytes of a function's variables"),
    ("n: i32,", "n: array<vec4<u32>, 5000>,", "80016 bytes of a uniform, at most 65536"),
    ("x : i32 =", "x : i64 =", "the type i64"),
    ("array<f32>;", "array<u16>;", "the type u16"),
    ("used_a =", "__x =", "the reserved name __x"),
    ("used_a =", "target =", "the reserved name target"),
    ("x : i32 =", "x : f16 =", "shader-f16 in a float32 library"),
    ("\n// A", "\nenable subgroups;\n// A", "the feature subgroups"),
    ("@compute @workgroup_size(32, 8, 1)", "@compute", "no workgroup size"),
    ("@binding(1)", "@binding(0)", "two buffers at one binding"),
    ("@group(0) @binding(1) ", "", "a buffer without group and binding"),
    (
        "let x : i32 = 1i; ",
        "let x = 1i; " + "{" * 127 + "}" * 127,
        "128 braces within braces, at most 127",
    ),
    ("= 1i; var held", "= (1i; var held", "line 15: '}' instead of another bracket"),
    ("= 1i; var held", "= 1i $; var held", "line 13: the character"),
    ("1.0f;\n}", "1.0f;", "the text ends early"),
    ("array<f32>;", "array<f33>;", "the type f33"),
    ("vec4<f32>, 2048", "vec4<f32>, many", "an array of 'many' elements"),
]


def buffers(count: int) -> str:
    """Return the shader with ``count`` storage buffers."""
    lines = [
        f"@group(0) @binding({place}) var<storage, read_write> b{place} : array<u32>;\n"
        for place in range(2, count + 1)
    ]
    uses = "".join(f"let used_{place} = &b{place}; " for place in range(2, count + 1))
    return "".join(lines) + GOOD.replace("let x", uses + "let x")
