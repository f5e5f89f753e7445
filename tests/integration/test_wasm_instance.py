"""A linked library runs: every name of the contract is registered, and a C++ error is loud.

The host is wasmtime with exactly the imports that web-llm provides. Like web-llm's, its WASI calls
see only the memory of the last growth they were told of; writes beyond it would be lost there.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import wasmtime

from tests.integration.test_wasm_library import build_tiny, cached_runtime, compile_object
from webslm.compiler.wasm import objects
from webslm.compiler.wasm.contract import WEB_LLM
from webslm.compiler.wasm.link import link_library

INT, SMALL_STRING, STRING, FUNCTION = 1, 11, 65, 68
OBJECT_HEADER_BYTES = 24
BAD_DESCRIPTOR = 8

THROWERS = """
#include <new>
#include <stdexcept>
#include <string>
#include <tvm/ffi/error.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/reflection/registry.h>

struct Tag { virtual ~Tag() = default; int number = 7; };
struct Both : Tag, std::runtime_error { Both() : std::runtime_error("from the second base") {} };
struct Derived : tvm::ffi::Error { Derived() : Error("DerivedKind", "derived message", "") {} };

TVM_FFI_STATIC_INIT_BLOCK() {
  tvm::ffi::reflection::GlobalDef()
      .def("test.throw_std", [](int) -> int { throw std::out_of_range("no such page"); })
      .def("test.throw_both", [](int) -> int { throw Both(); })
      .def("test.throw_error", [](int) -> int { throw tvm::ffi::Error("MyError", "mine", ""); })
      .def("test.throw_derived", [](int) -> int { throw Derived(); })
      .def("test.throw_int", [](int value) -> int { throw value; })
      .def("test.abort", [](int) -> int { abort(); })
      .def("test.grow", [](int bytes) -> int {
        volatile char* volatile block = new char[bytes];  // volatile: or it is optimized away
        block[bytes - 1] = 1;
        std::cerr << "grown" << std::endl;
        return block[bytes - 1];
      });
}
"""


class Host:
    """One instance of a library and the calls web-llm makes on it."""

    def __init__(self, module: wasmtime.Module, engine: wasmtime.Engine) -> None:
        self.store = wasmtime.Store(engine)
        self.output = {1: b"", 2: b""}
        functions: list[Any] = []
        for item in module.imports:
            assert item.name in WEB_LLM.imports[item.module], item.name
            assert isinstance(item.type, wasmtime.FuncType)
            functions.append(wasmtime.Func(self.store, item.type, getattr(self, f"on_{item.name}")))
        instance = wasmtime.Instance(self.store, module, functions)
        self.exports = cast("Mapping[str, Any]", instance.exports(self.store))
        self.memory = self.exports["memory"]
        self.known_bytes = self.memory.data_len(self.store)
        # The two numbers that tvmjs writes into every library.
        self.write(16, struct.pack("<ii", 24, 1024))
        self.call("_initialize")

    def on_emscripten_notify_memory_growth(self, _memory: int) -> None:
        self.known_bytes = self.memory.data_len(self.store)

    def on_fd_write(self, file: int, parts: int, count: int, moved: int) -> int:
        assert self.known_bytes == self.memory.data_len(self.store), "the page's views are dead"
        total = 0
        for index in range(count):
            start, size = struct.unpack("<II", self.read(parts + 8 * index, 8))
            self.output[file] += self.read(start, size)
            total += size
        self.write(moved, struct.pack("<I", total))
        return 0

    def on_environ_sizes_get(self, count: int, size: int) -> int:
        self.write(count, bytes(4))
        self.write(size, bytes(4))
        return 0

    def on_environ_get(self, *_arguments: int) -> int:
        return 0

    def on_fd_read(self, *_arguments: int) -> int:
        return BAD_DESCRIPTOR

    on_fd_seek = on_fd_close = on_clock_time_get = on_fd_read

    def on_proc_exit(self, code: int) -> None:
        raise AssertionError(f"exit({code})")

    def on_TVMFFIWasmSafeCall(self, *_arguments: int) -> int:  # noqa: N802 - the import's name
        return -1

    def on_TVMFFIWasmFunctionDeleter(self, _function: int) -> None:  # noqa: N802 - as above
        return None

    def read(self, start: int, size: int) -> bytes:
        return bytes(self.memory.read(self.store, start, start + size))

    def write(self, start: int, content: bytes) -> None:
        self.memory.write(self.store, content, start)

    def call(self, name: str, *arguments: int) -> Any:
        return self.exports[name](self.store, *arguments)

    def allocate(self, content: bytes) -> int:
        start: int = self.call("TVMWasmAllocSpace", len(content))
        self.write(start, content)
        return start

    def function(self, name: str) -> int:
        """Return the handle of a global function, 0 when there is none."""
        text = self.allocate(name.encode())
        out = self.allocate(bytes(8))
        key = self.allocate(struct.pack("<II", text, len(name)))
        assert self.call("TVMFFIFunctionGetGlobal", key, out) == 0
        handle: int = struct.unpack("<I", self.read(out, 4))[0]
        return handle

    def invoke(self, function: int, *arguments: int) -> tuple[int, int, int]:
        """Call a function with integers; return type, small length and value of the result."""
        cells = b"".join(struct.pack("<iIq", INT, 0, value) for value in arguments)
        packed, result = self.allocate(cells or bytes(16)), self.allocate(bytes(16))
        status = self.call("TVMFFIFunctionCall", function, packed, len(arguments), result)
        assert status == 0
        kind, small, value = struct.unpack("<iIq", self.read(result, 16))
        return kind, small, value

    def text(self, cell: tuple[int, int, int]) -> str:
        kind, small, value = cell
        if kind == SMALL_STRING:
            return struct.pack("<q", value)[:small].decode()
        assert kind == STRING
        start, size = struct.unpack("<II", self.read(value + OBJECT_HEADER_BYTES, 8))
        return self.read(start, size).decode()

    def global_names(self) -> set[str]:
        kind, _, lister = self.invoke(self.function("ffi.FunctionListGlobalNamesFunctor"))
        assert kind == FUNCTION
        count = self.invoke(lister, -1)[2]
        return {self.text(self.invoke(lister, index)) for index in range(count)}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> tuple[wasmtime.Module, wasmtime.Engine]:
    """Link the tiny executable with a unit that throws all kinds of things."""
    import tvm_ffi.libinfo

    folder = tmp_path_factory.mktemp("instance")
    (folder / "tvm_ffi").symlink_to(Path(tvm_ffi.libinfo.__file__).parent)
    flags = '#pragma clang diagnostic ignored "-Weverything"\n'
    thrower = compile_object(
        flags + THROWERS,
        folder,
        "-std=c++17",
        "-DTVM_FFI_CMAKE_LITTLE_ENDIAN=1",
        "-Itvm_ffi/include",
        "-Itvm_ffi/3rdparty/dlpack/include",
    )
    parts = objects.export_objects(build_tiny(), folder / "objects")
    link_library([*parts, thrower], cached_runtime(), folder / "lib.wasm")
    engine = wasmtime.Engine()
    return wasmtime.Module(engine, (folder / "lib.wasm").read_bytes()), engine


@pytest.fixture
def host(library: tuple[wasmtime.Module, wasmtime.Engine]) -> Host:
    return Host(*library)


def test_every_global_function_of_the_contract_is_registered(host: Host) -> None:
    names = host.global_names()
    assert names >= WEB_LLM.global_functions | WEB_LLM.optional_global_functions
    assert all(host.function(name) for name in WEB_LLM.global_functions)
    assert host.function("no.such.function") == 0
    assert not names & WEB_LLM.page_functions


def test_every_builtin_of_the_bytecode_is_registered(host: Host) -> None:
    needed = objects.check_packed_functions(build_tiny(), cached_runtime())
    assert set(needed) <= host.global_names()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("throw_std", "std::out_of_range: no such page"),
        ("throw_both", "Both: from the second base"),
        ("throw_error", "tvm::ffi::Error: MyError: mine"),
        ("throw_derived", "Derived: DerivedKind: derived message"),
        ("throw_int", "int"),
    ],
)
def test_a_thrown_object_is_described_and_traps(host: Host, name: str, told: str) -> None:
    with pytest.raises(wasmtime.Trap, match="unreachable"):
        host.invoke(host.function(f"test.{name}"), 3)
    assert f"webslm: uncaught C++ exception {told}\n" in host.output[2].decode()


def test_a_failed_check_of_the_runtime_is_described_and_traps(host: Host) -> None:
    with pytest.raises(wasmtime.Trap, match="unreachable"):
        host.invoke(host.function("ffi.ArrayGetItem"), 3)
    told = host.output[2].decode()
    assert "TypeError: Mismatched number of arguments when calling: `ffi.ArrayGetItem(" in told
    assert "Expected 2 but got 1 arguments" in told
    assert told.endswith("\n")


def test_abort_says_so_and_traps(host: Host) -> None:
    with pytest.raises(wasmtime.Trap, match="unreachable"):
        host.invoke(host.function("test.abort"), 0)
    assert host.output[2] == b"webslm: the C++ runtime called abort()\n"


def test_the_page_hears_of_memory_growth_before_it_prints(host: Host) -> None:
    before = host.known_bytes
    assert host.invoke(host.function("test.grow"), 8 << 20)[2] == 1
    assert host.output[2] == b"grown\n"
    assert host.known_bytes >= before + (8 << 20)
