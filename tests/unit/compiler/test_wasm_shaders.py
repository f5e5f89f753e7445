"""The shaders inside a library's data, in every shape that its bytes can take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from webslm.basics.errors import StageFailed
from webslm.compiler.wasm.shaders import library_shaders

TEXTS = {"add": "fn add() {}", "größer": "// π\nfn b() {}"}
NUMBER = (2).to_bytes(8, "little")


def word(value: int) -> bytes:
    return value.to_bytes(8, "little")


def text(value: str) -> bytes:
    return word(len(value.encode())) + value.encode()


def part(texts: Mapping[str, str], *, signatures: bytes = b"") -> bytes:
    """Return a part of kind ``webgpu``, as TVM writes it."""
    rows = b"".join(text(name) + text(code) for name, code in texts.items())
    content = word(len(texts)) + signatures + word(len(texts)) + rows
    return text("webgpu") + word(len(content)) + content


def unsigned(value: int) -> bytes:
    """Return a LEB128 number of five bytes."""
    seven = [(value >> shift) & 0x7F for shift in range(0, 35, 7)]
    return bytes([*(one | 0x80 for one in seven[:-1]), seven[-1]])


def module(path: Path, *segments: bytes) -> Path:
    """Write a WebAssembly module that is nothing but data."""
    data = b"".join(b"\0\x41\0\x0b" + unsigned(len(segment)) + segment for segment in segments)
    section = unsigned(len(segments)) + data
    path.write_bytes(b"\0asm\x01\0\0\0\x0b" + unsigned(len(section)) + section)
    return path


@pytest.mark.parametrize(
    "signatures",
    [
        pytest.param(b"", id="none"),
        pytest.param(text("add") + b"\x03\x20\x01\0" * 5, id="some"),
        pytest.param(NUMBER * 5, id="the number itself"),
        pytest.param(NUMBER + text("a") * 3, id="a table that ends early"),
        pytest.param(NUMBER + b"\xff" * 40, id="a wild length"),
        pytest.param(b"\0" + NUMBER, id="unaligned"),
    ],
)
def test_texts_are_found_behind_any_signatures(tmp_path: Path, signatures: bytes) -> None:
    data = b"before" + text("_lib") + part(TEXTS, signatures=signatures) + b"after"
    assert library_shaders(module(tmp_path / "x.wasm", b"other", data)) == TEXTS


def test_parts_of_every_segment_are_joined(tmp_path: Path) -> None:
    three = [{name: f"fn {name}() {{}}"} for name in "abc"]
    first, second, third = (part(texts) for texts in three)
    found = library_shaders(module(tmp_path / "x.wasm", first + second, third))
    assert list(found) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"webgpu", id="no part"),
        pytest.param(part({}), id="no shader"),
        pytest.param(part(TEXTS)[:-1], id="cut short"),
        pytest.param(part(TEXTS)[:16], id="cut before its content"),
        pytest.param(text("webgpu") + word(0), id="empty"),
        pytest.param(text("webgpu") + word(1 << 60) + b"x", id="a wild size"),
        pytest.param(text("webgpu") + word(16) + b"\xff" * 16, id="a wild number"),
        pytest.param(part(TEXTS).replace("π".encode(), b"\xff\xff"), id="no text"),
        pytest.param(part(TEXTS) + part(TEXTS)[:-1], id="one of two"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(
        StageFailed, match=r"compile: the shaders inside the library cannot be read"
    ):
        library_shaders(module(tmp_path / "x.wasm", data))
