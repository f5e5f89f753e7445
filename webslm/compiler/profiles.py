"""Own what a device gives a page: limits of WebGPU, by profile, as web-llm requests them. Data.

Names and meaning are those of WebGPU's ``GPUSupportedLimits``. web-llm asks for more than the
specification guarantees and falls back where it can; where it cannot (workgroup storage, storage
buffers), no device below its demand loads web-llm at all, so that demand is the least there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from webslm.schema import Profile

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits that every device of a profile keeps; sizes in bytes."""

    max_buffer_size: int
    max_storage_buffer_binding_size: int
    max_compute_workgroup_storage_size: int = 32768
    max_storage_buffers_per_shader_stage: int = 10
    # Not requested where web-llm asks for nothing: the specification's defaults.
    max_uniform_buffers_per_shader_stage: int = 12
    max_uniform_buffer_binding_size: int = 65536
    # Software adapters and phones offer no more; web-llm takes more where there is more.
    max_compute_invocations_per_workgroup: int = 256
    max_compute_workgroup_size: tuple[int, int, int] = (256, 256, 64)
    max_function_storage_size: int = 8192
    """Variables of one function; the WGSL specification's limit, which no device raises."""
    max_nesting_depth: int = 127
    """Braces within braces; the WGSL specification's limit."""


_GUARANTEED = Limits(max_buffer_size=256 * MIB, max_storage_buffer_binding_size=128 * MIB)

PROFILES: Mapping[Profile, Limits] = {
    Profile.mobile: _GUARANTEED,
    Profile.desktop: replace(
        _GUARANTEED, max_buffer_size=1024 * MIB, max_storage_buffer_binding_size=1024 * MIB
    ),
}
"""desktop: what web-llm asks for first; mobile: what it falls back to, which WebGPU guarantees."""
