"""What a model takes of a chip, held against sizes worked out by hand and by the compiler."""

from __future__ import annotations

import pytest

from webslm.compiler.memory import buffers, cache_bytes, contexts, largest_context, library_tensors
from webslm.config.checks import footprint
from webslm.config.compose import compose
from webslm.schema import Config

MIB = 1 << 20


def said(*words: str) -> list[tuple[str, str | None]]:
    return list(footprint.problems(compose(list(words))))


def by_name(cfg: Config) -> dict[str, int]:
    shape, quant = cfg.base.shape, cfg.quant
    found = buffers(shape, quant, library_tensors(shape, quant), context=1024, chunk=256)
    return {buffer.name: buffer.nbytes for buffer in found}


@pytest.mark.parametrize(
    ("window", "told"),
    [
        (128, [128]),
        (512, [512]),
        (513, [512, 513]),
        (4096, [512, 1024, 2048, 4096]),
        (3000, [512, 1024, 2048, 3000]),
    ],
)
def test_contexts_are_powers_of_two_and_the_window(window: int, told: list[int]) -> None:
    assert contexts(window) == told


def test_sizes_of_qwen2_5_0_5b_are_those_of_its_shape() -> None:
    cfg = compose(["base=qwen2_5_0_5b", "quant=q4f32_1"])
    found = by_name(cfg)
    # 896 inputs are 112 words and 28 scales; scales are whole float32 on the chip.
    assert found["model.embed_tokens.q_weight"] == 151936 * 112 * 4
    assert found["model.embed_tokens.q_scale"] == 151936 * 28 * 4
    # 2 heads of 64, key and value, on 64 pages of 16 tokens and one more.
    assert found["the cache of one layer"] == 65 * 16 * 2 * 2 * 64 * 4
    assert found["the activations of a prompt's chunk"] == 256 * 2 * 4864 * 4
    layers = 24 * found["the cache of one layer"]
    scratch = 256 * 4 * (3 * 14 * 64 + 2 * 2 * 64 + 2 * 14)
    assert cache_bytes(cfg.base.shape, cfg.quant, context=1024, chunk=256) == layers + scratch


def test_longest_context_is_the_last_whose_layer_fits() -> None:
    cfg = compose(["base=qwen2_5_0_5b", "quant=q4f32_1"])
    shape, quant, limit = cfg.base.shape, cfg.quant, 5 * MIB
    stored = library_tensors(shape, quant)
    longest = largest_context(shape, quant, limit)

    def layer(context: int) -> int:
        found = buffers(shape, quant, stored, context=context, chunk=1)
        return next(one.nbytes for one in found if one.kind == "cache")

    assert layer(longest) <= limit < layer(longest + 1)


def test_default_build_fits_every_device() -> None:
    assert said() == said("compiler.profile=mobile") == []


@pytest.mark.parametrize("base", ["qwen2_5_0_5b", "qwen2_5_1_5b", "llama_3_2_1b", "qwen3_0_6b"])
def test_small_bases_fit_every_device(base: str) -> None:
    assert said(f"base={base}", "quant=q4f16_1", "compiler.profile=mobile") == []


@pytest.mark.parametrize("base", ["gemma_2_2b", "gemma_3_1b"])
def test_wide_embeddings_are_too_large_for_phones_only(base: str) -> None:
    words = (f"base={base}", "quant=q4f32_1")
    assert said(*words) == []
    ((problem, hint),) = said(*words, "compiler.profile=mobile")
    assert problem.startswith("compiler.profile: model.embed_tokens.q_weight takes ")
    assert problem.endswith("mobile devices need not bind more than 134217728")
    assert hint is not None
    assert hint.endswith("or compiler.profile=desktop")


def test_unquantized_embeddings_of_gemma_2_fit_nothing() -> None:
    """256 000 rows of 2 304 float32 values are 2.4 GB in one buffer."""
    ((problem, hint),) = said("base=gemma_2_2b", "quant=q0f32")
    assert "model.embed_tokens.weight takes 2359296000 bytes as one buffer" in problem
    assert "desktop devices need not bind more than 1073741824" in problem
    assert hint is not None
    assert "profile" not in hint


def test_a_long_context_is_told_the_longest_that_fits() -> None:
    words = (
        "base=phi_3_5_mini",
        "quant=q4f32_1",
        "compiler.profile=mobile",
        "compiler.prefill_chunk_size=512",
    )
    ((problem, hint),) = said(*words, "compiler.context_window_size=131072")
    assert "the cache of one layer takes 3221618688 bytes" in problem
    assert hint is not None
    advised = hint.split(",")[0]
    assert advised == "compiler.context_window_size=5440"
    assert said(*words, advised) == []


def test_a_long_chunk_is_told() -> None:
    words = ("base=phi_3_5_mini", "quant=q4f32_1", "compiler.profile=mobile")
    ((problem, hint),) = said(*words, "compiler.prefill_chunk_size=4096")
    assert "the activations of a prompt's chunk takes 268435456 bytes" in problem
    assert "prefill_chunk_size" in str(hint)


def test_plan_tells_weights_cache_and_largest_buffer() -> None:
    cfg = compose(["base=gemma_2_2b", "quant=q4f16_1", "compiler.context_window_size=1024"])
    weights, cache, largest = footprint.lines(cfg, None)
    assert weights == "graphics memory: weights 1.5 GB, working space known once compiled"
    assert cache.startswith("cache by tokens of context: ")
    assert " at 512, " in cache
    assert cache.endswith(" at 1024")
    assert largest == ("largest buffer: model.embed_tokens.q_weight, 294.9 MB of 1.1 GB (desktop)")
    compiled = {"temporaries_bytes": 25_000_000}
    assert footprint.lines(cfg, compiled)[0].endswith("working space 25.0 MB")
