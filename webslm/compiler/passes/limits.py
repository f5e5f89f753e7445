"""Own the check of a library's shaders against what WebGPU promises everywhere.

A shader beyond these limits compiles here and fails in the page, after the whole weight download.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from webslm.errors import StageFailed

MAX_THREADS = 256
MAX_THREADS_Z = 64
MAX_SHARED_BYTES = 32768
MAX_BUFFERS = 10
SCALAR_BYTES = {"f16": 2, "f32": 4, "i32": 4, "u32": 4, "bool": 4}
FOREIGN_TYPE = re.compile(r"\b(?:[iu](?:8|16|64)|f64|bf16)\b")
RESERVED_NAME = re.compile(r"\b__\w+")
WORKGROUP_SIZE = re.compile(r"@workgroup_size\((\d+),\s*(\d+),\s*(\d+)\)")
SHARED = re.compile(r"var<workgroup>\s+\w+\s*:\s*array<(?:vec(\d)<(\w+)>|(\w+)),\s*(\d+)>")


def shaders(executable: Any) -> dict[str, str]:
    """Return the WGSL text of every kernel of a WebGPU executable, by name."""
    found: dict[str, str] = {}
    for module in _modules(executable.mod):
        if module.kind == "webgpu":
            for part in re.split(r"^// Function: .*$", module.inspect_source(), flags=re.M):
                name = re.search(r"^fn (\w+)\(", part, flags=re.M)
                if name:
                    found[name.group(1)] = part
    return found


def check_shaders(found: dict[str, str], *, dtype: str) -> None:
    """Hold every kernel against the limits.

    Args:
        found: WGSL text by kernel name.
        dtype: The format's type: with float32, nothing may need the feature ``shader-f16``.

    Raises:
        StageFailed: Each kernel that breaks a limit, by name, in one message.
    """
    problems = [
        f"{name}: {problem}"
        for name, text in sorted(found.items())
        for problem in shader_problems(text, dtype=dtype)
    ]
    if problems:
        raise StageFailed(
            f"compile: kernels outside WebGPU's limits: {'; '.join(problems)}",
            hint="choose another head_dim, prefill_chunk_size or quant",
        )


def shader_problems(text: str, *, dtype: str) -> list[str]:
    """Return what is wrong with one kernel's WGSL text."""
    problems = []
    size = WORKGROUP_SIZE.search(text)
    x, y, z = (int(part) for part in size.groups()) if size else (0, 0, 0)
    if not size:
        problems.append("no workgroup size")
    elif x * y * z > MAX_THREADS or z > MAX_THREADS_Z:
        problems.append(f"{x} x {y} x {z} threads, at most {MAX_THREADS}")
    shared = sum(_shared_bytes(match) for match in SHARED.finditer(text))
    if shared > MAX_SHARED_BYTES:
        problems.append(f"{shared} bytes of shared memory, at most {MAX_SHARED_BYTES}")
    buffers = text.count("var<storage")
    if buffers > MAX_BUFFERS:
        problems.append(f"{buffers} buffers, at most {MAX_BUFFERS}")
    problems += [f"the type {kind}" for kind in sorted(set(FOREIGN_TYPE.findall(text)))]
    problems += [f"the reserved name {word}" for word in sorted(set(RESERVED_NAME.findall(text)))]
    if "enable subgroups" in text:
        problems.append("the feature subgroups")
    if dtype == "float32" and re.search(r"\bf16\b", text):
        problems.append("the feature shader-f16 in a float32 library")
    return problems


def _shared_bytes(match: re.Match[str]) -> int:
    lanes, vector_type, scalar_type, count = match.groups()
    # A vector of three takes the room of four.
    width = {None: 1, "2": 2, "3": 4, "4": 4}[lanes]
    return width * SCALAR_BYTES.get(vector_type or scalar_type, 8) * int(count)


def _modules(module: Any) -> Iterator[Any]:
    yield module
    for part in module.imports:
        yield from _modules(part)
