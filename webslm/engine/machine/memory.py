"""Own how much memory this machine has to give, and how large a model is."""

from __future__ import annotations

from pathlib import Path

from webslm.schema import Config


def parameters(cfg: Config) -> int:
    """Return about how many parameters a shape has: embeddings, attention and MLP matrices."""
    shape = cfg.base.shape
    heads = 2 * (shape.num_attention_heads + shape.num_key_value_heads) * shape.head_dim
    layer = shape.hidden_size * (heads + 3 * shape.intermediate_size)
    tables = 1 if shape.tie_word_embeddings else 2
    return shape.num_hidden_layers * layer + tables * shape.vocab_size * shape.hidden_size


def available_memory() -> int | None:
    """Return the bytes that can be used without swapping, None where Linux is not asked."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = next((line for line in lines if line.startswith("MemAvailable:")), None)
    return None if found is None else int(found.split()[1]) * 1024
