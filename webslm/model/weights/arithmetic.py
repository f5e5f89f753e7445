"""Own what follows from the type a library computes in: its short name, the WebGPU features."""

from __future__ import annotations

SHORT = {"float16": "f16", "float32": "f32"}
SHADER_F16 = "shader-f16"


def short_dtype(dtype: str) -> str:
    """Return a type as names of formats spell it: f16 or f32."""
    return SHORT[dtype]


def required_features(dtype: str) -> list[str]:
    """Return the WebGPU features without which shaders of a type do not compile."""
    return [SHADER_F16] if dtype == "float16" else []
