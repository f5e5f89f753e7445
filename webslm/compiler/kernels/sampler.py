"""Own the exported sampling functions: Relax around the kernels, and the kernels exported bare."""

from __future__ import annotations

from typing import Any

from tvm import relax

from webslm.compiler.kernels import logits, nucleus, nucleus_draw, softmax
from webslm.compiler.kernels.threads import Threads


def emit_sampler(builder: relax.BlockBuilder, vocab_size: int, threads: Threads) -> None:
    """Write everything web-llm calls between logits and a token."""
    _emit_softmax(builder, vocab_size, threads)
    _emit_masses(builder, vocab_size, threads)
    _emit_draw(builder, vocab_size, threads)
    for make in (logits.apply_logit_bias, logits.apply_penalty, logits.apply_bitmask):
        kernel = make(vocab_size, threads)
        builder.add_func(kernel, str(kernel.attrs["global_symbol"]))


def _emit_softmax(builder: relax.BlockBuilder, vocab_size: int, threads: Threads) -> None:
    given = _variable("logits", (1, 1, vocab_size))
    temperature = _variable("temperature", (1,))
    chunks = softmax.num_chunks(vocab_size)
    with builder.function("softmax_with_temperature", [given, temperature]):
        with builder.dataflow():
            statistics = builder.add_func(
                softmax.statistics(vocab_size, threads), "softmax_statistics"
            )
            found = builder.emit(
                relax.call_tir(
                    statistics, [given, temperature], [_tensor((chunks,)), _tensor((chunks,))]
                )
            )
            normalise = builder.add_func(
                softmax.normalise(vocab_size, threads), "softmax_normalise"
            )
            result = builder.emit_output(
                relax.call_tir(
                    normalise, [given, temperature, found[0], found[1]], _tensor((1, 1, vocab_size))
                )
            )
        builder.emit_func_output(result)


def _emit_masses(builder: relax.BlockBuilder, vocab_size: int, threads: Threads) -> None:
    """Write ``argsort_probs``, which sorts nothing: ``sample_with_top_p`` needs no order.

    web-llm hands both results on to it as they are, and reads neither.
    """
    given = _variable("probabilities", (1, vocab_size))
    with builder.function("argsort_probs", [given]):
        with builder.dataflow():
            masses = builder.add_func(nucleus.masses(vocab_size, threads), "nucleus_masses")
            found = builder.emit(relax.call_tir(masses, [given], _masses(vocab_size)))
            result = builder.emit_output(relax.Tuple([given, found]))
        builder.emit_func_output(result)


def _emit_draw(builder: relax.BlockBuilder, vocab_size: int, threads: Threads) -> None:
    inputs = [
        _variable("probabilities", (1, vocab_size)),
        relax.Var("masses", _masses(vocab_size)),
        _variable("uniform", (1,)),
        _variable("row", (1,), "int32"),
        _variable("top_p", (1,)),
    ]
    with builder.function("sample_with_top_p", inputs):
        with builder.dataflow():
            draw = builder.add_func(nucleus_draw.draw(vocab_size, threads), "nucleus_draw")
            given = [inputs[0], inputs[1], inputs[2], inputs[4]]
            token = builder.emit_output(relax.call_tir(draw, given, _tensor((1,), "int32")))
        builder.emit_func_output(token)


def _masses(vocab_size: int) -> Any:
    return _tensor((nucleus.num_tiles(vocab_size), nucleus.COLUMNS))


def _variable(name: str, dims: tuple[int, ...], dtype: str = "float32") -> Any:
    return relax.Var(name, _tensor(dims, dtype))


def _tensor(dims: tuple[int, ...], dtype: str = "float32") -> Any:
    return relax.TensorType(dims, dtype)
