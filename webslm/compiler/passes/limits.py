"""Own the check of a library's shaders against the limits of a profile, from their WGSL text.

A shader beyond a limit compiles here and fails in the page, after the whole weight download.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from webslm.basics.errors import StageFailed
from webslm.compiler.profiles import PROFILES, Limits
from webslm.compiler.wgsl.layout import Layout
from webslm.compiler.wgsl.syntax import Function, Module, Variable, parse
from webslm.compiler.wgsl.tokens import WgslError
from webslm.compiler.wgsl.words import FOREIGN_TYPES, RESERVED
from webslm.schema import Profile

DIRECTIVES = {"f16": "shader-f16", "subgroups": "subgroups"}
"""WGSL's name of what a shader enables, and WebGPU's name of the feature it needs."""


def shaders(executable: Any) -> dict[str, str]:
    """Return the WGSL text of every kernel of a WebGPU executable, by name."""
    return {name: text for part in shader_modules(executable) for name, text in part.items()}


def shader_modules(executable: Any) -> list[dict[str, str]]:
    """Return the same by WebGPU module; a page that loads them finds the last one first."""
    return [_kernels(part) for part in _modules(executable.mod) if part.kind == "webgpu"]


def _kernels(module: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in re.split(r"^// Function: .*$", module.inspect_source(), flags=re.M):
        name = re.search(r"^fn (\w+)\(", part, flags=re.M)
        if name:
            found[name.group(1)] = part
    return found


def check_shaders(
    found: Mapping[str, str], *, dtype: str, profile: Profile = Profile.desktop
) -> dict[str, int]:
    """Hold every kernel against the limits.

    Args:
        found: WGSL text by kernel name.
        dtype: The format's type: with float32, nothing may need the feature ``shader-f16``.
        profile: Whose limits.

    Returns:
        The most that any kernel takes of each limit.

    Raises:
        StageFailed: Each kernel that breaks a limit, by name, in one message.
    """
    limits, most, problems = PROFILES[profile], dict.fromkeys(MEASURES, 0), []
    for name, text in sorted(found.items()):
        wrong = shader_problems(text, dtype=dtype, limits=limits)
        problems += [f"{name}: {problem}" for problem in wrong]
        if not wrong:
            most = {key: max(most[key], value) for key, value in usage(parse(text)).items()}
    if problems:
        said = "; ".join(problems)
        raise StageFailed(
            f"compile: shaders outside the limits of profile {profile.value}: {said}",
            hint="another head_dim, prefill_chunk_size or quant; or another prebuilt library",
        )
    return most


MEASURES = ("threads", "workgroup_bytes", "storage_buffers", "uniform_bytes", "function_bytes")


def usage(module: Module) -> dict[str, int]:
    """Return what a shader takes of each limit; sizes in bytes."""
    layout = Layout(module)
    uniforms = _of(module.variables, "uniform")
    return {
        "threads": max((x * y * z for x, y, z in _sizes(module)), default=0),
        "workgroup_bytes": layout.total(_of(module.variables, "workgroup")),
        "storage_buffers": len(_of(module.variables, "storage")),
        "uniform_bytes": max((layout.variable(one) for one in uniforms), default=0),
        "function_bytes": max(map(layout.total, _locals(module)), default=0),
    }


def shader_problems(
    text: str, *, dtype: str, limits: Limits = PROFILES[Profile.desktop]
) -> list[str]:
    """Return what is wrong with one kernel's WGSL text."""
    try:
        module = parse(text)
        return [
            *_word_problems(module, dtype),
            *_size_problems(module, limits),
            *_binding_problems(module, limits),
        ]
    except WgslError as exc:
        return [str(exc)]


def _word_problems(module: Module, dtype: str) -> Iterator[str]:
    for word in sorted(module.words & FOREIGN_TYPES):
        yield f"the type {word}"
    for word in sorted(module.words):
        if word in RESERVED or word.startswith("__"):
            yield f"the reserved name {word}"
    for name in sorted(module.enabled):
        feature = DIRECTIVES.get(name, name)
        if feature != "shader-f16":
            yield f"the feature {feature}"
    if "f16" in module.words and dtype == "float32":
        yield "the feature shader-f16 in a float32 library"
    elif "f16" in module.words - module.enabled:
        yield "f16 without 'enable f16'"


def _size_problems(module: Module, limits: Limits) -> Iterator[str]:
    entries = list(_sizes(module))
    if len(entries) != 1:
        yield "no workgroup size" if not entries else f"{len(entries)} entry points"
    threads = limits.max_compute_invocations_per_workgroup
    for size in entries:
        x, y, z = size
        most = limits.max_compute_workgroup_size
        if min(size) < 1 or x * y * z > threads:
            yield f"{x} x {y} x {z} threads, at most {threads}"
        if any(one > limit for one, limit in zip(size, most, strict=True)):
            yield f"a workgroup of {x} x {y} x {z}, at most {most[0]} x {most[1]} x {most[2]}"
    used = usage(module)
    for key, what, limit in (
        ("workgroup_bytes", "workgroup memory", limits.max_compute_workgroup_storage_size),
        ("function_bytes", "a function's variables", limits.max_function_storage_size),
        ("uniform_bytes", "a uniform", limits.max_uniform_buffer_binding_size),
    ):
        if used[key] > limit:
            yield f"{used[key]} bytes of {what}, at most {limit}"
    depth = max((function.depth for function in module.functions), default=0)
    if depth > limits.max_nesting_depth:
        yield f"{depth} braces within braces, at most {limits.max_nesting_depth}"


def _binding_problems(module: Module, limits: Limits) -> Iterator[str]:
    layout = Layout(module)
    storage = _of(module.variables, "storage")
    most = limits.max_storage_buffers_per_shader_stage
    if len(storage) > most:
        yield f"{len(storage)} storage buffers, at most {most}"
    uniforms = len(_of(module.variables, "uniform"))
    if uniforms > limits.max_uniform_buffers_per_shader_stage:
        yield (f"{uniforms} uniform buffers, at most {limits.max_uniform_buffers_per_shader_stage}")
    for variable in storage:
        size = layout.variable(variable)
        if size > limits.max_storage_buffer_binding_size:
            yield (
                f"a binding of {size} bytes ({variable.name}), at most "
                f"{limits.max_storage_buffer_binding_size}"
            )
    bound = [one for one in module.variables if one.space in ("storage", "uniform")]
    places = [(one.group, one.binding) for one in bound]
    if any(None in place for place in places):
        yield "a buffer without group and binding"
    elif len(set(places)) < len(places):
        yield "two buffers at one binding"


def _of(variables: Iterable[Variable], space: str) -> list[Variable]:
    return [variable for variable in variables if variable.space == space]


def _locals(module: Module) -> Iterator[tuple[Variable, ...]]:
    return (function.variables for function in module.functions)


def _sizes(module: Module) -> Iterator[tuple[int, int, int]]:
    functions: list[Function] = module.functions
    return (size for one in functions if (size := one.workgroup_size) is not None)


def _modules(module: Any) -> Iterator[Any]:
    yield module
    for part in module.imports:
        yield from _modules(part)
