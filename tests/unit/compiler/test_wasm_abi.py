"""The reader of WebAssembly files and the check of a library against a contract."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webslm.basics.errors import StageFailed
from webslm.compiler.wasm.abi import check_abi, inspect_library
from webslm.compiler.wasm.binary import Import, read_sections
from webslm.compiler.wasm.contract import WEB_LLM, Contract

FUNCTION, TABLE, MEMORY, GLOBAL = range(4)
NAMES = b"\0".join(sorted(name.encode() for name in WEB_LLM.global_functions)) + b"\0"


def leb(value: int) -> bytes:
    """Encode an unsigned number."""
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def sleb(value: int) -> bytes:
    """Encode a signed number."""
    out = bytearray()
    while True:
        low, value = value & 0x7F, value >> 7
        done = (value == 0 and not low & 0x40) or (value == -1 and low & 0x40)
        out.append(low | (0 if done else 0x80))
        if done:
            return bytes(out)


def text(value: str) -> bytes:
    """Encode a name."""
    return leb(len(value.encode())) + value.encode()


def section(kind: int, entries: list[bytes]) -> bytes:
    """Encode a section of counted entries."""
    body = leb(len(entries)) + b"".join(entries)
    return bytes([kind]) + leb(len(body)) + body


def data(address: int, content: bytes) -> bytes:
    """Encode an active data segment."""
    signed = address - (1 << 32) if address >= 1 << 31 else address
    return b"\0\x41" + sleb(signed) + b"\x0b" + leb(len(content)) + content


def module(
    path: Path,
    *,
    imports: list[tuple[str, str, bytes]] | None = None,
    exports: frozenset[str] = WEB_LLM.exports,
    segments: list[bytes] | None = None,
) -> Path:
    """Write a module; without arguments it meets the contract."""
    chosen = [("env", "TVMFFIWasmSafeCall", b"\0\x05")] if imports is None else imports
    path.write_bytes(
        b"\0asm\x01\0\0\0"
        + section(2, [text(host) + text(name) + desc for host, name, desc in chosen])
        + section(7, [text(name) + b"\0\x01" for name in sorted(exports)])
        + section(11, [data(1 << 20, NAMES)] if segments is None else segments)
    )
    return path


def test_check_abi_accepts_a_library_that_meets_the_contract(tmp_path: Path) -> None:
    path = module(tmp_path / "good.wasm")
    abi = check_abi(path)
    assert abi.imports == (Import("env", "TVMFFIWasmSafeCall", "function"),)
    assert abi.data_addresses == (1 << 20,)
    assert abi.data_end == (1 << 20) + len(NAMES)
    assert abi.size_bytes == path.stat().st_size
    assert abi == inspect_library(path)


def test_check_abi_names_everything_that_is_wrong_at_once(tmp_path: Path) -> None:
    path = module(
        tmp_path / "bad.wasm",
        imports=[
            ("env", "__cxa_throw", b"\0\x05"),
            ("env", "memory", b"\x02\x01\x02\x10"),
            ("wasi_snapshot_preview1", "__console_log", b"\0\x05"),
            ("env", "fd_write", b"\0\x05"),
        ],
        exports=WEB_LLM.exports - {"_initialize"},
        segments=[data(1000, NAMES.replace(b"ffi.SystemLib\0", b"")), data(1024, b"x")],
    )
    with pytest.raises(StageFailed) as caught:
        check_abi(path, required_global_functions=["vm.builtin.reshape"])
    problems = caught.value.message.split(": ", 2)[2].split("; ")
    assert problems == [
        "import 'env.__cxa_throw' (function) is not provided",
        "import 'env.memory' (memory) is not provided",
        "import 'wasi_snapshot_preview1.__console_log' (function) is not provided",
        "missing export '_initialize'",
        "data at address 1000 lies below 1024, where web-llm writes",
        "missing global function 'ffi.SystemLib'",
        "missing global function 'vm.builtin.reshape'",
    ]
    assert caught.value.exit_code == 4


def test_check_abi_follows_the_contract_it_is_given(tmp_path: Path) -> None:
    lenient: Contract = dataclasses.replace(WEB_LLM, exports=frozenset({"memory"}))
    path = module(tmp_path / "few.wasm", exports=frozenset({"memory"}))
    assert check_abi(path, contract=lenient).exports == ("memory",)


def test_check_abi_refuses_data_whose_address_is_not_a_constant(tmp_path: Path) -> None:
    relative = b"\0\x23\0\x0b" + leb(1) + b"x"
    path = module(tmp_path / "pic.wasm", segments=[data(1 << 20, NAMES), relative])
    with pytest.raises(StageFailed, match="known only at run time"):
        check_abi(path)


def test_read_sections_reads_every_kind_of_import_and_segment(tmp_path: Path) -> None:
    path = module(
        tmp_path / "kinds.wasm",
        imports=[
            ("env", "table", b"\x01\x70\x01\x02\x03"),
            ("env", "memory", b"\x02\0\x02"),
            ("env", "base", b"\x03\x7f\0"),
            ("env", "tag", b"\x04\0\x01"),
        ],
        segments=[b"\x01" + leb(2) + b"ab", b"\x02\0\x41\x05\x0b" + leb(1) + b"c"],
    )
    sections = read_sections(path)
    assert [item.kind for item in sections.imports] == ["table", "memory", "global", "tag"]
    assert [(part.address, part.data) for part in sections.segments] == [(None, b"ab"), (5, b"c")]


@given(address=st.integers(0, 2**32 - 1))
def test_read_sections_reads_any_address(
    tmp_path_factory: pytest.TempPathFactory, address: int
) -> None:
    path = module(tmp_path_factory.mktemp("m") / "m.wasm", segments=[data(address, b"z")])
    assert read_sections(path).segments[0].address == address


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"<!doctype html>", "not a WebAssembly module"),
        (b"\0asm\x01\0\0\0\x02\x7f\x01", "damaged"),
        (b"\0asm\x01\0\0\0" + section(11, [b"\0\x6a\x0b\0"]), "offset expression 0x6a"),
        (b"\0asm\x01\0\0\0" + section(11, [b"\0\x41\x01\x41\x01\x6a\x0b\0"]), "more than one"),
    ],
)
def test_read_sections_refuses_what_it_cannot_read(
    tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "lib.wasm"
    path.write_bytes(content)
    with pytest.raises(StageFailed, match=told):
        read_sections(path)
