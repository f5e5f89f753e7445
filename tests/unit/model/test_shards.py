"""Shards as the contract wants them, read back, and refused when they are not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from webslm.basics.errors import StageFailed
from webslm.model.weights.format import BF16, StoredTensor
from webslm.model.weights.shards import ShardReader, ShardWriter, iterate, read_tensor


def floats(name: str, count: int, encoding: str = "raw") -> StoredTensor:
    return StoredTensor(name=name, shape=(count,), dtype="float32", encoding=encoding)


def write(folder: Path, sizes: dict[str, int], cap_bytes: int) -> list[list[str]]:
    """Write float tensors of the given element counts; return the names in each shard."""
    writer = ShardWriter(folder, cap_bytes=cap_bytes)
    for value, (name, count) in enumerate(sizes.items()):
        writer.add(floats(name, count), [np.full(count, value, dtype=np.float32)])
    index = writer.close(num_weights=sum(sizes.values()))
    return [[record["name"] for record in shard["records"]] for shard in index["records"]]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"a": 10, "b": 10}, [["a", "b"]]),
        # 40 + 40 + 40 bytes would reach the cap of 120: c opens the next shard.
        ({"a": 10, "b": 10, "c": 10}, [["a", "b"], ["c"]]),
        # Half the cap or more, and it does not fit: a file of its own, the open one goes on.
        ({"a": 20, "big": 15, "b": 5}, [["a", "b"], ["big"]]),
        ({"huge": 100, "a": 1}, [["huge"], ["a"]]),
    ],
)
def test_writer_cap_rule(tmp_path: Path, sizes: dict[str, int], expected: list[list[str]]) -> None:
    assert write(tmp_path, sizes, cap_bytes=120) == expected
    assert [name for name, _ in iterate(tmp_path)] == [n for names in expected for n in names]
    for value, name in enumerate(sizes):
        assert set(read_tensor(tmp_path, name).tolist()) == {float(value)}


def test_writer_index_describes_the_files(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path)
    half = StoredTensor(name="half", shape=(3,), dtype="float16")
    code = StoredTensor(name="code", shape=(2, 2), dtype="uint32")
    writer.add(half, [np.array([1, 2, 3], dtype=np.float16)])
    writer.add(code, [np.array([[1, 2]], dtype=np.uint32), np.array([[3, 4]], dtype=np.uint32)])
    writer.add(floats("scale", 2, BF16), [np.array([1.0, -2.0], dtype=np.float32)])
    writer.close(num_weights=16)
    index = json.loads((tmp_path / "tensor-cache.json").read_text())
    content = (tmp_path / "params_shard_0.bin").read_bytes()
    (shard,) = index["records"]
    assert shard["dataPath"] == "params_shard_0.bin"
    assert shard["format"] == "raw-shard"
    assert shard["nbytes"] == len(content) == 8 + 16 + 4
    assert shard["sha256"] == hashlib.sha256(content).hexdigest()
    assert shard["md5sum"] == hashlib.md5(content).hexdigest()
    assert [(r["byteOffset"], r["nbytes"]) for r in shard["records"]] == [(0, 6), (8, 16), (24, 4)]
    assert [r["format"] for r in shard["records"]] == ["raw", "raw", BF16]
    assert [r["dtype"] for r in shard["records"]] == ["float16", "uint32", "float32"]
    assert index["metadata"] == {"ParamSize": 3, "ParamBytes": 26, "BitsPerParam": 13.0}
    assert content[24:] == bytes([0x80, 0x3F, 0x00, 0xC0])
    assert read_tensor(tmp_path, "scale").tolist() == [1.0, -2.0]
    assert read_tensor(tmp_path, "code").tolist() == [[1, 2], [3, 4]]


def test_writer_keeps_float32_exactly(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    writer = ShardWriter(tmp_path)
    writer.add(floats("w", 1000), [values[:300], values[300:]])
    writer.close(num_weights=1000)
    assert np.array_equal(read_tensor(tmp_path, "w"), values)


def test_writer_refuses_a_second_tensor_of_one_name_and_a_short_one(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path)
    writer.add(floats("w", 2), [np.zeros(2, dtype=np.float32)])
    with pytest.raises(StageFailed, match="written twice: w"):
        writer.add(floats("w", 2), [np.zeros(2, dtype=np.float32)])
    with pytest.raises(StageFailed, match="v: 8 bytes written, 12 expected"):
        writer.add(floats("v", 3), [np.zeros(2, dtype=np.float32)])
    writer.abort()


def test_reader_names_what_is_missing_or_truncated(tmp_path: Path) -> None:
    write(tmp_path, {"a": 4, "b": 4}, cap_bytes=1000)
    with pytest.raises(StageFailed, match="no tensor 'c'"):
        read_tensor(tmp_path, "c")
    shard = tmp_path / "params_shard_0.bin"
    shard.write_bytes(shard.read_bytes()[:-4])
    assert read_tensor(tmp_path, "a").shape == (4,)
    with pytest.raises(StageFailed, match=r"b: params_shard_0\.bin does not hold its 16 bytes"):
        read_tensor(tmp_path, "b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i: i["records"][0].update(dataPath="../secret.bin"), "leaves the folder"),
        (lambda i: i["records"].append(i["records"][0]), "a is there twice"),
        (lambda i: i["records"][0]["records"][0].update(dtype="int8"), "unknown dtype 'int8'"),
        (lambda i: i.pop("records"), "unreadable"),
    ],
)
def test_reader_refuses_a_bad_index(tmp_path: Path, change: Any, message: str) -> None:
    write(tmp_path, {"a": 4}, cap_bytes=1000)
    path = tmp_path / "tensor-cache.json"
    index = json.loads(path.read_text())
    change(index)
    path.write_text(json.dumps(index))
    with pytest.raises(StageFailed, match=message):
        ShardReader(tmp_path)
