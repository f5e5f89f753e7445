"""Named faults of a checkpoint's files: what disks, downloads, scripts and editors leave behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests import checkpoints
from tests.checkpoints import (
    FIRST,
    SECOND,
    Array,
    Change,
    Mutation,
    dump,
    each,
    edit,
    edited,
    on,
    put,
)

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json")


def mutations() -> Iterator[tuple[str, Mutation]]:
    """Yield faults with their names; each is done to a fresh whole checkpoint of one file."""
    yield from _tensors()
    yield from _files()
    yield from _headers()
    yield from _shards()
    yield from _neighbours()


def _tensors() -> Iterator[tuple[str, Mutation]]:
    names = list(checkpoints.tensors(checkpoints.CONFIG))
    ways: dict[str, Callable[[dict[str, Array], str], object]] = {
        "dropped": lambda found, name: found.pop(name),
        "renamed": lambda found, name: found.update({f"{name}_old": found.pop(name)}),
        "without its prefix": lambda f, n: f.update({n.removeprefix("model."): f.pop(n)}),
        "with a row more": lambda f, n: f.update({n: np.concatenate([f[n], f[n][:1]])}),
        "with a row less": lambda f, n: f.update({n: f[n][1:].copy()}),
        "transposed": lambda f, n: f.update({n: np.ascontiguousarray(f[n].T)}),
        "as one row": lambda f, n: f.update({n: f[n].reshape(1, -1)}),
        "in float64": lambda f, n: f.update({n: f[n].astype(np.float64)}),
        "in float16": lambda f, n: f.update({n: f[n].astype(np.float16)}),
        "in int8": lambda f, n: f.update({n: f[n].astype(np.int8)}),
        "as bytes": lambda f, n: f.update({n: f[n].astype(np.uint8)}),
        "twice": lambda f, n: f.update({f"{n}.copy": f[n].copy()}),
    }
    for name in (name for name in names if ".layers.1." not in name):
        for way, change in ways.items():
            if way.endswith("prefix") and not name.startswith("model."):
                continue
            yield f"tensor {name} {way}", partial(resave, change=change, name=name)
    yield "all tensors dropped", lambda f: checkpoints.save(f / WEIGHTS, {})
    yield (
        "an adapter's tensors left in",
        lambda f: resave(
            f,
            lambda t, n: t.update({f"{n}.lora_A.weight": np.zeros((2, 16), np.float32)}),
            names[1],
        ),
    )
    yield (
        "old rotary buffers left in",
        lambda f: resave(
            f,
            lambda t, _: t.update(
                {"model.layers.0.self_attn.rotary_emb.inv_freq": np.zeros(2, np.float32)}
            ),
            "",
        ),
    )


def resave(folder: Path, change: Callable[[dict[str, Array], str], object], name: str) -> None:
    found = checkpoints.tensors(checkpoints.CONFIG)
    change(found, name)
    checkpoints.save(folder / WEIGHTS, found)


def _files() -> Iterator[tuple[str, Mutation]]:
    whole: dict[str, Mutation] = {
        "missing": lambda path: path.unlink(),
        "empty": lambda path: path.write_bytes(b""),
        "a folder": each(lambda path: path.unlink(), lambda path: path.mkdir()),
        "cut in half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        "one byte short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
        "a byte longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
        "a web page": lambda path: path.write_bytes(b"<!doctype html><title>404</title>"),
        "a Git LFS pointer": lambda path: path.write_bytes(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
        ),
        "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
        "a broken link": each(lambda path: path.unlink(), lambda path: path.symlink_to("nowhere")),
        "a link to itself": each(
            lambda path: path.unlink(), lambda path: path.symlink_to(path.name)
        ),
        "a link": each(
            lambda path: path.rename(f"{path}.far"),
            lambda path: path.symlink_to(f"{path.name}.far"),
        ),
    }
    texts: dict[str, Mutation] = {
        "null": lambda path: path.write_text("null"),
        "a list": lambda path: path.write_text("[1]"),
        "an empty object": lambda path: path.write_text("{}"),
        "nested deeply": lambda path: path.write_text("[" * 99999),
        "with a byte order mark": lambda path: path.write_bytes(
            b"\xef\xbb\xbf" + path.read_bytes()
        ),
        "in UTF-16": lambda path: path.write_text(path.read_text(), encoding="utf-16"),
        "in Latin-1": lambda path: path.write_bytes(path.read_bytes() + "é".encode("latin-1")),
        "with a trailing comma": lambda path: path.write_text(path.read_text()[:-1] + ",}"),
    }
    for name in (*FILES, WEIGHTS):
        for way, change in (whole if name == WEIGHTS else whole | texts).items():
            yield f"{name} {way}", on(name, change)


def _headers() -> Iterator[tuple[str, Mutation]]:
    headers: dict[str, Callable[[bytes], bytes]] = {
        "length of the header too large": lambda raw: (2**40).to_bytes(8, "little") + raw[8:],
        "header of the wrong type": lambda raw: (4).to_bytes(8, "little") + b"[1]]" + raw[8:],
        "hole before the tensors": lambda raw: _header(raw, lambda e: _shift(e, 4)) + bytes(4),
        "overlapping tensors": lambda raw: _header(raw, lambda e: _shift(e, 0, first_only=True)),
        "shape of another product": lambda raw: _header(raw, _grow),
        "negative offset": lambda raw: _header(raw, lambda e: _shift(e, -4)),
        "unknown type": lambda raw: _header(raw, lambda e: e.update(dtype="F99")),
        "entry without offsets": lambda raw: _header(raw, lambda e: e.pop("data_offsets")),
    }
    for way, rewrite in headers.items():
        yield (
            f"{WEIGHTS}: {way}",
            on(WEIGHTS, partial(_rewritten, rewrite)),
        )


def _rewritten(rewrite: Callable[[bytes], bytes], path: Path) -> None:
    path.write_bytes(rewrite(path.read_bytes()))


def _header(raw: bytes, change: Change) -> bytes:
    """Return a safetensors file with its first tensor's entry changed."""
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    change(header[next(name for name in sorted(header) if name != "__metadata__")])
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + raw[8 + length :]


def _shift(entry: dict[str, Any], by: int, *, first_only: bool = False) -> None:
    start, end = entry["data_offsets"]
    entry["data_offsets"] = [start + by, end + by] if not first_only else [start, end - 4]


def _grow(entry: dict[str, Any]) -> None:
    entry["shape"][0] += 1


def _shards() -> Iterator[tuple[str, Mutation]]:
    def maps(change: Change) -> Mutation:
        def done(folder: Path) -> None:
            checkpoints.shard(folder)
            edit(folder / INDEX, lambda index: change(index["weight_map"]))

        return done

    def whole(change: Callable[[Path], object]) -> Mutation:
        return each(checkpoints.shard, change)

    def older(folder: Path) -> None:
        """Leave shards of an earlier save, with their index, beside the one file."""
        checkpoints.shard(folder)
        for name in (FIRST, SECOND):
            raw = (folder / name).read_bytes()
            (folder / name).write_bytes(raw[:-4] + bytes(4))
        _save_whole(folder)

    head = "lm_head.weight"
    lose = [on(name, lambda path: path.unlink()) for name in (FIRST, SECOND)]
    yield "shards: whole", checkpoints.shard
    yield "shards: index missing", whole(lambda f: (f / INDEX).unlink())
    yield "shards: first missing", whole(lambda f: (f / FIRST).unlink())
    yield "shards: all missing", each(checkpoints.shard, *lose)
    yield "shards: one empty", whole(lambda f: (f / SECOND).write_bytes(b""))
    yield (
        "shards: one cut",
        whole(lambda f: (f / SECOND).write_bytes((f / SECOND).read_bytes()[:-9])),
    )
    yield (
        "shards: swapped names",
        each(
            checkpoints.shard,
            lambda f: (f / FIRST).rename(f / "t"),
            lambda f: (f / SECOND).rename(f / FIRST),
            lambda f: (f / "t").rename(f / SECOND),
        ),
    )
    yield "shards: both are the first", whole(lambda f: shutil.copy(f / FIRST, f / SECOND))
    yield "shards: metadata missing", whole(lambda f: edit(f / INDEX, lambda i: i.pop("metadata")))
    yield "shards: map missing", whole(lambda f: edit(f / INDEX, lambda i: i.pop("weight_map")))
    yield "shards: map a list", whole(lambda f: edit(f / INDEX, lambda i: i.update(weight_map=[1])))
    yield "shards: map empty", whole(lambda f: edit(f / INDEX, lambda i: i.update(weight_map={})))
    yield "shards: index a list", whole(lambda f: (f / INDEX).write_text("[]"))
    yield "shards: index cut", whole(lambda f: (f / INDEX).write_text('{"weight_map": {'))
    yield "shards: entry missing", maps(lambda m: m.pop(head))
    yield "shards: entry unknown", maps(lambda m: m.update(other=FIRST))
    yield (
        "shards: entry of the other file",
        maps(lambda m: m.update({head: FIRST if m[head] == SECOND else SECOND})),
    )
    for target in (
        "../x.safetensors",
        "/x.safetensors",
        "",
        "..",
        7,
        None,
        "gone.safetensors",
        "config.json",
    ):
        yield f"shards: entry is {target!r}", maps(put(head, target))
    yield (
        "shards: an old index beside one file",
        each(checkpoints.shard, *lose, _save_whole),
    )
    yield "shards: an older save beside one file", older


def _save_whole(folder: Path) -> None:
    checkpoints.save(folder / WEIGHTS, checkpoints.tensors(checkpoints.CONFIG))


def _neighbours() -> Iterator[tuple[str, Mutation]]:
    """What lies beside, or in the place of, the weights."""

    def instead(name: str) -> Mutation:
        lose = on(WEIGHTS, lambda path: path.unlink())
        return each(lose, on(name, lambda path: path.write_bytes(b"x")))

    for name in (
        *("pytorch_model.bin", "model.pt", "consolidated.00.pth", "consolidated.safetensors"),
        *("weights.gguf", "tf_model.h5", "model.fp16.safetensors", FIRST, "training_args.bin"),
    ):
        yield f"{name} instead of {WEIGHTS}", instead(name)
        yield f"{name} beside {WEIGHTS}", on(name, lambda path: path.write_bytes(b"x"))
    yield (
        "an adapter instead",
        each(
            lambda f: (f / WEIGHTS).rename(f / "adapter_model.safetensors"),
            lambda f: dump(f / "adapter_config.json", {"peft_type": "LORA"}),
        ),
    )
    yield (
        "an adapter beside",
        each(
            lambda f: checkpoints.save(
                f / "adapter_model.safetensors", {"a": np.zeros(2, np.float32)}
            ),
            lambda f: dump(f / "adapter_config.json", {"peft_type": "LORA", "r": 2}),
        ),
    )
    yield (
        "a file named by transformers_weights",
        each(
            lambda f: shutil.copy(f / WEIGHTS, f / "other.safetensors"),
            edited("config.json", put("transformers_weights", "other.safetensors")),
        ),
    )
    yield "nothing but a folder of that name", each(shutil.rmtree, lambda f: f.mkdir())
    yield "nothing", shutil.rmtree
    yield "a file in place of the folder", each(shutil.rmtree, lambda f: f.write_text("x"))
    yield "the untouched checkpoint", lambda f: None
