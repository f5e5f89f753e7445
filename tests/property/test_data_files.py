"""No file of a user ends in a traceback, and every record of a file that is read is accounted for.

Good files are mutated by name: each draw takes a good file and one to three mutations.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from webslm.basics.errors import WebslmError
from webslm.rows.artifact import dump_rows
from webslm.rows.changes import Changes
from webslm.rows.examination import examine
from webslm.rows.pairs import read_pairs
from webslm.rows.source import load_split
from webslm.schema import DataConf

Records = list[Any]
RECORDS: dict[str, Records] = {
    "chat": [
        {
            "id": n,
            "messages": [
                {"role": "user", "content": f"What is part {n}?\r\nSay it."},
                {"role": "assistant", "content": f"A piece: {n}.", "weight": n % 2},
                {"role": "user", "content": "Shorter."},
                {"role": "assistant", "content": f"Piece {n}."},
            ],
        }
        for n in range(6)
    ],
    "sharegpt": [
        {"conversations": [{"from": "human", "value": f"Q{n}"}, {"from": "gpt", "value": "A"}]}
        for n in range(6)
    ],
    "alpaca": [
        {"instruction": f"Add {n}", "input": "", "output": "1", "history": [[f"H{n}", "h"]]}
        for n in range(6)
    ],
    "flat": [{"question": f"Why {n}?", "answer": "So, \u2028 \u00e9."} for n in range(6)],
    "pairs": [{"prompt": f"P{n}", "chosen": "yes", "rejected": "no"} for n in range(6)],
}
SUFFIXES = ("jsonl", "json", "csv", "tsv", "parquet", "txt", "gz", "xlsx")


def walked(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return a JSON value with ``change`` applied to each of its objects and leaves."""
    if isinstance(value, dict):
        value = {key: walked(item, change) for key, item in value.items()}
    elif isinstance(value, list):
        value = [walked(item, change) for item in value]
    return change(value)


def renamed(value: Any) -> Any:
    swaps = {"content": "text", "answer": "reply", "value": "weight", "input": "history"}
    return {swaps.get(k, k): v for k, v in value.items()} if isinstance(value, dict) else value


def added(key: str, item: Any) -> Callable[[Any], Any]:
    return lambda value: {**value, key: item} if isinstance(value, dict) else value


def typed(item: Any) -> Callable[[Any], Any]:
    return lambda value: item if isinstance(value, str) and len(value) > 3 else value


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


RECORD_MUTATIONS: dict[str, Callable[[Any], Any]] = {
    "keys renamed": renamed,
    "weight 0": added("weight", 0),
    "weight 0.5": added("weight", 0.5),
    "train false": added("train", False),
    "loss weight text": added("loss_weight", "half"),
    "label false": added("label", False),
    "history": added("history", [["a", "b"]]),
    "history of another type": added("history", {"a": 1}),
    "tools": added("tools", [{"name": "f"}]),
    "tool calls": added("tool_calls", [1]),
    "images": added("images", ["x.png"]),
    "reasoning": added("reasoning_content", "hm"),
    "system": added("system", "Be kind."),
    "unknown key": added("\ud83d zebra \x00", {"a": [1]}),
    "null": typed(None),
    "number": typed(3),
    "huge number": typed(10**4000),
    "not a number": typed(float("nan")),
    "infinite": typed(float("inf")),
    "empty text": typed(" "),
    "list of parts": lambda v: [{"type": "text", "text": v}] if v == "A" else v,
    "image part": typed([{"type": "image_url", "image_url": {"url": "x"}}]),
    "object for a text": typed({"a": "b"}),
    "deep": typed(nested(60)),
    "half a surrogate": lambda v: v + "\ud800" if isinstance(v, str) and len(v) > 3 else v,
    "control character": lambda v: v + "\x07" if isinstance(v, str) and len(v) > 3 else v,
    "line breaks": lambda v: v + "\r\n\x0b\x0c\x85\u2028z" if isinstance(v, str) else v,
    "records repeated": lambda v: v,
    "bare texts": lambda v: json.dumps(v) if isinstance(v, dict) else v,
}
BYTE_MUTATIONS: dict[str, Callable[[bytes, int], bytes]] = {
    "byte-order mark": lambda raw, _: b"\xef\xbb\xbf" + raw,
    "two byte-order marks": lambda raw, _: b"\xef\xbb\xbf" * 2 + raw,
    "utf-16 with its mark": lambda raw, _: raw.decode("utf-8", "replace").encode("utf-16"),
    "utf-16 without": lambda raw, _: raw.decode("utf-8", "replace").encode("utf-16-le"),
    "utf-32 with its mark": lambda raw, _: raw.decode("utf-8", "replace").encode("utf-32"),
    "latin-1": lambda raw, _: raw.decode("utf-8", "replace").encode("latin-1", "replace"),
    "\\r\\n": lambda raw, _: raw.replace(b"\n", b"\r\n"),
    "\\r": lambda raw, _: raw.replace(b"\n", b"\r"),
    "cut": lambda raw, at: raw[: at % (len(raw) + 1)],
    "beginning cut": lambda raw, at: raw[at % (len(raw) + 1) :],
    "byte flipped": lambda raw, at: (
        raw[: at % len(raw)] + bytes([raw[at % len(raw)] ^ 1 << at % 8]) + raw[at % len(raw) + 1 :]
        if raw
        else raw
    ),
    "zero byte": lambda raw, at: raw[: at % (len(raw) + 1)] + b"\0" + raw[at % (len(raw) + 1) :],
    "quote": lambda raw, at: raw[: at % (len(raw) + 1)] + b'"' + raw[at % (len(raw) + 1) :],
    "empty lines": lambda raw, _: b"\n\n" + raw.replace(b"\n", b"\n \n"),
    "twice": lambda raw, _: raw + raw,
    "key twice": lambda raw, _: raw.replace(b"{", b'{"id": 1, "id": 2, ', 1),
    "number of 5000 digits": lambda raw, _: raw.replace(b"{", b'{"n": ' + b"9" * 5000 + b", ", 1),
    "nested 100000 deep": lambda raw, _: raw + b"[" * 100_000,
    "nothing": lambda raw, _: raw[:0],
    "gzip": lambda raw, _: gzip.compress(raw),
    "half a gzip": lambda raw, at: gzip.compress(raw)[: at % 60],
    "bzip2": lambda raw, _: bz2.compress(raw),
    "xz": lambda raw, _: lzma.compress(raw),
    "zip": lambda raw, _: zipped(raw, "rows.jsonl"),
    "workbook": lambda raw, _: zipped(raw, "xl/workbook.xml"),
    "zstd": lambda raw, _: b"\x28\xb5\x2f\xfd" + raw,
    "database": lambda raw, _: b"SQLite format 3\0" + raw,
    "web page": lambda raw, _: b"\n<!DOCTYPE html><html>" + raw,
    "parquet's first bytes": lambda raw, _: b"PAR1" + raw,
    "lfs pointer": lambda raw, _: b"version https://git-lfs.github.com/spec/v1\n" + raw[:0],
}


def zipped(raw: bytes, name: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(name, raw)
    return made.getvalue()


def written(records: Records, suffix: str) -> bytes:
    """Return records as a file of that kind has them."""
    if suffix == "json":
        return json.dumps(records, indent=1).encode()
    if suffix in ("csv", "tsv"):
        mark = "," if suffix == "csv" else "\t"
        keys = list(records[0]) if isinstance(records[0], dict) else ["x"]
        rows = [
            keys,
            *([record.get(key) for key in keys] for record in records if isinstance(record, dict)),
        ]
        lines = (mark.join(json.dumps(str(cell))[1:-1] for cell in row) for row in rows)
        return "\n".join(lines).encode("utf-8", "replace")
    if suffix == "parquet":
        import pyarrow as pa
        from pyarrow import parquet

        made = io.BytesIO()
        try:
            parquet.write_table(pa.Table.from_pylist(records), made)
        except (pa.ArrowException, TypeError, AttributeError, UnicodeError, OverflowError):
            return b"PAR1"
        return made.getvalue()
    return "".join(json.dumps(record) + "\n" for record in records).encode()


DRAWS = st.tuples(
    st.sampled_from(sorted(RECORDS)),
    st.sampled_from(SUFFIXES),
    st.lists(st.sampled_from(sorted(RECORD_MUTATIONS)), max_size=2),
    st.lists(st.sampled_from(sorted(BYTE_MUTATIONS)), max_size=2),
    st.integers(0, 5),
    st.integers(0, 10**6),
    st.booleans(),
)


def mutated(draw: tuple[Any, ...]) -> tuple[bytes, str]:
    kind, suffix, on_records, on_bytes, which, at, _ = draw
    records = list(RECORDS[kind])
    for name in on_records:
        records[which] = walked(records[which], RECORD_MUTATIONS[name])
        if name == "records repeated":
            records += records[:3]
    raw = written(records, suffix)
    for name in on_bytes:
        raw = BYTE_MUTATIONS[name](raw, at)
    return raw, suffix


def check(raw: bytes, suffix: str, *, skip_bad: bool) -> bool:
    """Read a file as rows and as pairs; return whether it was read as either."""
    read = False
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"rows.{suffix}"
        path.write_bytes(raw)
        data = DataConf(path=str(path), skip_bad=skip_bad)
        try:
            split = load_split(data)
        except WebslmError as exc:
            str(exc).encode()
        else:
            read = True
            assert split.is_whole()
            stats = examine(split, data)
            records = stats["records"]
            assert records["read"] == sum(records.values()) - records["read"]
            json.dumps(stats, ensure_ascii=False).encode()
            dump_rows((*split.train, *split.held_out)).encode()
        changes = Changes()
        try:
            pairs = read_pairs(path, system=None, held_out=(), changes=changes)
        except WebslmError as exc:
            str(exc).encode()
        else:
            read = True
            assert changes.read == len(pairs)
    return read


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(DRAWS)
@example(("chat", "jsonl", ["weight 0"], ["utf-16 with its mark", "gzip"], 0, 0, False))
@example(("alpaca", "parquet", ["history"], ["byte flipped"], 1, 8, True))
@example(("flat", "csv", ["line breaks"], ["\\r\\n"], 2, 0, True))
def test_mutated_file_is_read_whole_or_refused_in_a_sentence(draw: tuple[Any, ...]) -> None:
    raw, suffix = mutated(draw)
    check(raw, suffix, skip_bad=draw[-1])


@pytest.mark.parametrize("name", [*RECORD_MUTATIONS, *BYTE_MUTATIONS])
def test_each_mutation_alone_is_tried_on_every_kind(name: str) -> None:
    on_records = [name] if name in RECORD_MUTATIONS else []
    on_bytes = [name] if name in BYTE_MUTATIONS else []
    for kind in RECORDS:
        raw, suffix = mutated((kind, "jsonl", on_records, on_bytes, 1, 77, True))
        check(raw, suffix, skip_bad=True)


@pytest.mark.parametrize("kind", RECORDS)
@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet", "txt"])
def test_good_file_is_read_whole(kind: str, suffix: str) -> None:
    assert check(written(RECORDS[kind], suffix), suffix, skip_bad=False)
