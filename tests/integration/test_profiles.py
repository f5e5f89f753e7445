"""The limits of the profiles are those that the pinned web-llm asks a device for."""

from __future__ import annotations

import re

import pytest

from webslm.basics import paths
from webslm.bundle.npm import fetch_web_llm
from webslm.compiler.profiles import PROFILES, Limits
from webslm.config.compose import compose
from webslm.schema import Profile


@pytest.fixture(scope="module")
def requested() -> dict[str, int]:
    """Return each limit that web-llm asks for, and what it falls back to, from its JavaScript."""
    row = compose([]).runtime
    module = fetch_web_llm(paths.cache_dir(), row.web_llm, row.web_llm_integrity)
    text = module.read_text(encoding="utf-8")
    found = re.findall(r"(?:let|const) (\w*[rR]equiredMax\w+) = (\d+)(?: << (\d+))?;", text)
    return {name: int(value) << int(shift or 0) for name, value, shift in found}


@pytest.mark.parametrize(
    ("profile", "prefix"),
    [(Profile.desktop, "requiredMax"), (Profile.mobile, "backupRequiredMax")],
)
def test_profile_is_what_web_llm_asks_for(
    profile: Profile, prefix: str, requested: dict[str, int]
) -> None:
    limits: Limits = PROFILES[profile]
    assert limits.max_buffer_size == requested[f"{prefix}BufferSize"]
    assert limits.max_storage_buffer_binding_size == requested[f"{prefix}StorageBufferBindingSize"]
    assert (
        limits.max_compute_workgroup_storage_size
        == requested["requiredMaxComputeWorkgroupStorageSize"]
    )
    assert (
        limits.max_storage_buffers_per_shader_stage
        == requested["requiredMaxStorageBuffersPerShaderStage"]
    )
