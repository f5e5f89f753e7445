"""Own the second kernel of a choice without a sort: the nucleus, and a token of it. Emit no Relax.

``nucleus`` says how. The tokens are taken thread by thread, not in the order of their ids: whatever
the order, each has its share of the uniform number's range.
"""

# TVMScript is Python only in form: a kernel's length and branches are the GPU program's own.
# ruff: noqa: N812
# mypy: disable-error-code="valid-type, no-redef, untyped-decorator"

from __future__ import annotations

from typing import Any

from tvm.script import tirx as T

from webslm.compiler.kernels import nucleus_digits, nucleus_key, nucleus_walk
from webslm.compiler.kernels.nucleus import BUCKETS, COLUMNS, SLICES, THREADS, num_tiles
from webslm.compiler.kernels.nucleus_key import DIGITS, LANES
from webslm.compiler.kernels.threads import Threads


def draw(vocab_size: int, threads: Threads) -> Any:
    """Return the kernel: probabilities, their masses, uniform, top_p -> the token id [1].

    The token is -1 when no probability is above zero: web-llm then says that it found none.
    """
    tiles = num_tiles(vocab_size)
    levels = nucleus_key.VALUE_LEVELS + nucleus_key.levels_of_ids(vocab_size)
    bind, shared = threads.bind, threads.shared
    totals, bucket = nucleus_key.totals_of(tiles, bind), nucleus_key.bucket_of(bind)
    list_tiles = nucleus_key.list_of(tiles, bind)
    digits, fold = nucleus_digits.digits_of(vocab_size, bind), nucleus_digits.fold_of(bind)
    digit = nucleus_digits.digit_of(vocab_size, bind)
    shares = nucleus_walk.shares_of(vocab_size, bind)
    walk = nucleus_walk.walk_of(vocab_size, bind)

    @T.prim_func(s_tir=True, private=True)
    def nucleus_draw(
        probabilities: T.Buffer((1, vocab_size), "float32"),
        found: T.Buffer((tiles, COLUMNS), "float32"),
        uniform: T.Buffer((1,), "float32"),
        top_p: T.Buffer((1,), "float32"),
        token: T.Buffer((1,), "int32"),
    ) -> None:
        T.func_attr({"tirx.is_scheduled": True, "tirx.noalias": True})
        for _block in bind(1, thread="blockIdx.x"):
            with T.sblock("row"):
                # Said outright: TVM cannot infer what a walk with data for bounds touches.
                T.reads(
                    probabilities[0, 0:vocab_size],
                    found[0:tiles, 0:COLUMNS],
                    uniform[0],
                    top_p[0],
                )
                T.writes(token[0])
                # The key: bits of the probability (tau) and how far the id is from the last one
                # (rho); the bits of the bucket that it lies in.
                key = T.sblock_alloc_buffer((4,), "int32", scope=shared)
                # Tiles to search for digits (busy), and all that do not lie below the bucket.
                counts = T.sblock_alloc_buffer((2,), "int32", scope=shared)
                tile_list = T.sblock_alloc_buffer((tiles,), "int32", scope=shared)
                above = T.sblock_alloc_buffer((1,), "float32", scope=shared)
                slices = T.sblock_alloc_buffer((SLICES, BUCKETS), "float32", scope=shared)
                own_mass = T.sblock_alloc_buffer((DIGITS + 1, THREADS), "float32", scope=shared)
                folded = T.sblock_alloc_buffer((DIGITS + 1, LANES), "float32", scope=shared)
                totals(found, slices)
                bucket(slices, top_p, above, key)
                list_tiles(found, key, tile_list, counts)
                for level in T.serial(levels):
                    digits(key, counts, tile_list, probabilities, own_mass, level)
                    fold(own_mass, folded)
                    digit(folded, above, top_p, key, counts, level)
                shares(key, counts, tile_list, probabilities, own_mass)
                walk(key, counts, tile_list, probabilities, own_mass, uniform, token)

    return nucleus_draw
