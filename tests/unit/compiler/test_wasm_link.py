"""The link step's errors, and that its output is replaced whole or not at all. zig is a fake."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from webslm.basics.errors import EnvironmentMismatch, StageFailed, ToolFailed
from webslm.compiler.wasm import link, zig
from webslm.compiler.wasm.contract import WEB_LLM, read_contract


def fail_with(tail: str) -> object:
    def run(arguments: Sequence[str | Path], *, cwd: Path, cache: Path) -> str:
        raise ToolFailed("python ended with code 1", tail=tail)

    return run


def test_link_library_names_undefined_symbols_and_keeps_the_old_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tail = "\n".join(f"wasm-ld: error: model0.o: undefined symbol: {name}" for name in "yxy")
    monkeypatch.setattr(link, "run_zig", fail_with(tail))
    out = tmp_path / "lib.wasm"
    out.write_bytes(b"old")
    with pytest.raises(StageFailed, match=r"link lib\.wasm: undefined symbols: 'x', 'y'"):
        link.link_library([], tmp_path, out)
    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]


def test_link_library_passes_on_other_failures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(link, "run_zig", fail_with("wasm-ld: error: unknown file type"))
    with pytest.raises(ToolFailed, match="ended with code 1"):
        link.link_library([], tmp_path, tmp_path / "lib.wasm")


def test_run_zig_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EnvironmentMismatch) as caught:
        zig.run_zig(["version"], cwd=tmp_path, cache=tmp_path)
    assert caught.value.hint == "pip install ziglang"


def test_read_contract_finds_names_in_a_bundle(tmp_path: Path) -> None:
    bundle = tmp_path / "index.js"
    bundle.write_text(
        "var wasmImports={TVMFFIWasmSafeCall:_TVMFFIWasmSafeCall,fd_write:_fd_write};"
        "this.lib.exports.TVMFFIFunctionCall(a); this.exports.asyncify_stop_rewind();"
        'tvm.getGlobalFunc("vm.builtin.kv_state_clear"); getGlobalFunc(name);'
        "getGlobalFunc('ffi.Array')",
        encoding="utf-8",
    )
    found = read_contract(bundle)
    assert found.imports == {"TVMFFIWasmSafeCall", "fd_write"}
    assert found.exports == {"TVMFFIFunctionCall"}
    assert found.global_functions == {"vm.builtin.kv_state_clear", "ffi.Array"}


def test_page_callbacks_are_imports_of_the_contract() -> None:
    assert set(link.PAGE_CALLBACKS) <= WEB_LLM.imports["env"]
