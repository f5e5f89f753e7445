"""Own what a user says of a format, a compiler and a runtime row."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING

from webslm.schema.choices import Profile


@dataclass
class QuantConf:
    """A weight format as data."""

    name: str = MISSING
    bits: int = MISSING
    """Bits of a weight code; 0: weights are kept in ``dtype``."""
    group_size: int = 32
    """Inputs that share one scale."""
    dtype: str = MISSING
    """Type of activations, scales and what is not quantized: float16 or float32."""
    scale_encoding: str = "raw"
    """How scales lie on disk: raw, or f32-to-bf16 (half the bytes; codes allow for it)."""


@dataclass
class CompilerConf:
    """Which compiler makes the library."""

    name: str = "tvm"
    path: str | None = None
    """prebuilt: the library, or a folder with one; ``store:compile/KEY`` lies in the store."""
    url: str | None = None
    """prebuilt: where the library is fetched; ``sha256`` then says which it must be."""
    sha256: str | None = None
    """prebuilt: what the library must hash to, wherever it comes from."""
    context_window_size: int = 4096
    """Follows ``base.context_window_size``."""
    prefill_chunk_size: int = 1024
    """Follows ``base.prefill_chunk_size``."""
    opt_level: int = 2
    """Optimisation level of the library's host code."""
    profile: Profile = Profile.desktop
    """Whose WebGPU limits every shader and tensor keeps to: desktop, or mobile."""
    max_shaders: int | None = None
    """Budget of shaders, each compiled by the page at every start; null: none."""
    max_wasm_bytes: int | None = None
    """Budget of the library file; null: none."""
    python: str = "auto"
    """Which Python compiles: ``here`` (this one), ``isolated`` (the row's own environment in the
    cache), ``auto`` (this one where its wheels are the row's, else isolated), or a path. For
    mlc_llm the path of a Python that has it; ``auto`` is then this one."""


@dataclass
class AllowedConf:
    """A range of versions and why it ends there."""

    range: str = MISSING
    """Version specifiers as pip reads them, such as ``>=3.10,<3.14``."""
    reason: str = MISSING


@dataclass
class OlderConf:
    """Pins for Pythons on which the usual ones do not install."""

    python: str | None = None
    """Those Pythons, as pip reads versions, such as ``<3.11``."""
    wheels: dict[str, str] = field(default_factory=dict)
    """PyPI name to exact version, in place of ``runtime.wheels`` there."""


@dataclass
class RuntimeConf:
    """A matrix row: versions that work together."""

    name: str = MISSING
    web_llm: str = MISSING
    """Version of the npm package @mlc-ai/web-llm."""
    web_llm_integrity: str = MISSING
    """npm's sha512 of the package archive."""
    wheels: dict[str, str] = field(default_factory=dict)
    """PyPI name to exact version."""
    older: OlderConf = field(default_factory=OlderConf)
    tools: dict[str, str] = field(default_factory=dict)
    """A compiler that no wheel of the row brings, such as mlc-llm: part to exact version."""
    model_types: list[str] = field(default_factory=list)
    """Model types that the row's tools compile to what webslm computes; empty: all it knows."""
    formats: list[str] = field(default_factory=list)
    """Weight formats that the row's tools know; empty: all of webslm's."""
    browser_min: int = 113
    """Lowest Chromium major version with WebGPU."""
    allowed: dict[str, AllowedConf] = field(default_factory=dict)
    """What may stand in the row, by part: ``python``, ``web_llm``, a wheel or a tool."""
