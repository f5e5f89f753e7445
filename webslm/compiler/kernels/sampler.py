"""Own the exported sampling functions: Relax around the kernels, and the kernels exported bare."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax

from webslm.compiler.kernels import logits, softmax, sort, top_p
from webslm.compiler.kernels.threads import Threads


def emit_sampler(builder: relax.BlockBuilder, vocab_size: int, threads: Threads) -> None:
    """Write everything web-llm calls between logits and a token."""
    _emit_softmax(builder, vocab_size, threads)
    _emit_argsort(builder, vocab_size, threads)
    _emit_choice(builder, vocab_size, threads)
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


def _emit_argsort(builder: relax.BlockBuilder, vocab_size: int, threads: Threads) -> None:
    given = _variable("probabilities", (1, vocab_size))
    pair = [_tensor((1, vocab_size)), _tensor((1, vocab_size), "int32")]
    with builder.function("argsort_probs", [given]):
        with builder.dataflow():
            tiles = builder.add_func(sort.sort_tiles(vocab_size, threads), "sort_tiles")
            runs = builder.emit(relax.call_tir(tiles, [given], pair))
            levels = sort.merge_levels(vocab_size)
            if levels:
                merge = builder.add_func(sort.merge_runs(vocab_size, threads), "merge_runs")
            for level in levels:
                step = relax.prim_value(tvm.tirx.IntImm("int32", level))
                runs = builder.emit(relax.call_tir(merge, [runs[0], runs[1], step], pair))
            result = builder.emit_output(relax.Tuple([runs[0], runs[1]]))
        builder.emit_func_output(result)


def _emit_choice(builder: relax.BlockBuilder, vocab_size: int, threads: Threads) -> None:
    inputs = [
        _variable("sorted_probabilities", (1, vocab_size)),
        _variable("sorted_ids", (1, vocab_size), "int32"),
        _variable("uniform", (1,)),
        _variable("row", (1,), "int32"),
        _variable("top_p", (1,)),
    ]
    with builder.function("sample_with_top_p", inputs):
        with builder.dataflow():
            choose = builder.add_func(top_p.choose(vocab_size, threads), "choose_token")
            token = builder.emit_output(
                relax.call_tir(
                    choose,
                    [inputs[0], inputs[1], inputs[2], inputs[4]],
                    _tensor((1,), "int32"),
                )
            )
        builder.emit_func_output(token)


def _variable(name: str, dims: tuple[int, ...], dtype: str = "float32") -> Any:
    return relax.Var(name, _tensor(dims, dtype))


def _tensor(dims: tuple[int, ...], dtype: str = "float32") -> Any:
    return relax.TensorType(dims, dtype)
