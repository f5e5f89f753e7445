"""A real executable becomes a checked library: the real runtime, the real linker, TVM's compiler.

The first run on a machine builds the runtime (about a minute); later ones find it in the cache.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from webslm.basics import paths
from webslm.basics.errors import StageFailed
from webslm.bundle import registry
from webslm.compiler.passes.limits import shaders
from webslm.compiler.wasm import objects, runtime
from webslm.compiler.wasm.abi import check_abi, inspect_library
from webslm.compiler.wasm.contract import WEB_LLM, WEB_LLM_0_2_79, Contract, read_contract
from webslm.compiler.wasm.link import PAGE_CALLBACKS, STACK_BYTES, link_library
from webslm.compiler.wasm.runtime import build_runtime
from webslm.compiler.wasm.shaders import library_shaders
from webslm.compiler.wasm.zig import run_zig

RPC_FUNCTIONS = {"rpc.CreateEventDrivenServer", "wasm.LocalSession"}
"""What web-llm's bundle looks up only for TVM's RPC server, which no page starts."""


def cached_runtime() -> Path:
    """Return the runtime that all tests of this machine share."""
    return build_runtime(paths.cache_dir() / "tools" / "wasm-runtime")


def build_tiny(host: str = "wasm32-unknown-unknown-wasm", call: str | None = None) -> Any:
    """Compile ``add(x, y)`` for WebGPU, or a function that calls the packed function ``call``."""
    import tvm
    from tvm import relax

    builder = relax.BlockBuilder()
    shape = [tvm.tirx.Var("n", "int64"), 4]
    x, y = (relax.Var(name, relax.TensorType(shape, "float32")) for name in "xy")
    with builder.function("add", [x, y]):
        if call is None:
            with builder.dataflow():
                result = builder.emit_output(relax.op.add(x, y))
        else:
            result = builder.emit(relax.call_pure_packed(call, x, y, ty_args=x.ty))
        builder.emit_func_output(result)
    target = tvm.target.Target({"kind": "webgpu", "host": {"kind": "llvm", "mtriple": host}})
    return relax.build(builder.get(), target)


@pytest.fixture(scope="module")
def runtime_dir() -> Path:
    return cached_runtime()


@pytest.fixture(scope="module")
def executable() -> Any:
    return build_tiny()


@pytest.fixture(scope="module")
def library(executable: Any, runtime_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("library") / "tiny.wasm"
    objects.write_library(executable, runtime_dir, out)
    return out


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def codes(found: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the lines of each shader without those that only name it."""
    return {
        name: [line for line in text.strip().splitlines() if not line.startswith("//")]
        for name, text in found.items()
    }


def compile_object(source: str, folder: Path, *flags: str) -> Path:
    """Compile C++ to an object in ``folder``."""
    (folder / "extra.cc").write_text(source)
    argv = ["c++", "-target", "wasm32-wasi", "-O1", "-fignore-exceptions", *flags]
    run_zig([*argv, "-c", "extra.cc", "-o", "extra.o"], cwd=folder, cache=folder / "zig")
    return folder / "extra.o"


def test_library_without_the_models_functions_is_refused(executable: Any) -> None:
    told = "the library lacks the functions _metadata, apply_bitmask_inplace, .*decode, embed"
    with pytest.raises(StageFailed, match=told):
        objects.check_vm_functions(executable)


def test_library_meets_the_contract(library: Path) -> None:
    abi = check_abi(library)
    names = {item.name for item in abi.imports}
    assert names <= WEB_LLM.imports["wasi_snapshot_preview1"]
    assert {*PAGE_CALLBACKS, "emscripten_notify_memory_growth"} <= names
    # Nothing but what web-llm calls: every further export would keep dead code alive.
    assert set(abi.exports) == WEB_LLM.exports | WEB_LLM.optional_exports
    assert min(address or 0 for address in abi.data_addresses) >= STACK_BYTES
    assert abi.size_bytes < 4_000_000


def test_library_holds_the_shaders_that_the_compiler_made(library: Path, executable: Any) -> None:
    made = shaders(executable)
    assert len(made) > 0
    assert codes(library_shaders(library)) == codes(made)


def test_library_is_the_same_from_other_folders(
    executable: Any, runtime_dir: Path, library: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "a" / "rather" / "deep" / "runtime"
    shutil.copytree(runtime_dir, elsewhere)
    out = tmp_path / "other.wasm"
    link_library(objects.export_objects(executable, tmp_path / "objects"), elsewhere, out)
    assert sha256(out) == sha256(library)
    assert objects.write_library(build_tiny(), runtime_dir, out) == inspect_library(library)
    assert sha256(out) == sha256(library)


def test_library_holds_no_path_of_this_machine(library: Path, runtime_dir: Path) -> None:
    for path in (library, *runtime_dir.iterdir()):
        content = path.read_bytes()
        for place in (Path.home(), Path(__file__).parents[2], runtime_dir):
            assert str(place).encode() + b"/" not in content, path.name


def test_link_refuses_an_undefined_symbol(
    executable: Any, runtime_dir: Path, tmp_path: Path
) -> None:
    source = 'extern "C" int nobody_has_this(); __attribute__((constructor)) void use() '
    extra = compile_object(source + "{ nobody_has_this(); }", tmp_path)
    parts = [*objects.export_objects(executable, tmp_path / "objects"), extra]
    with pytest.raises(StageFailed, match="undefined symbols: 'nobody_has_this'"):
        link_library(parts, runtime_dir, tmp_path / "lib.wasm")
    assert not (tmp_path / "lib.wasm").exists()


def test_check_refuses_a_foreign_import(executable: Any, runtime_dir: Path, tmp_path: Path) -> None:
    source = (
        '__attribute__((import_module("env"), import_name("random_get"))) extern "C" int get();'
        "__attribute__((constructor)) void use() { get(); }"
    )
    extra = compile_object(source, tmp_path)
    out = tmp_path / "lib.wasm"
    link_library([*objects.export_objects(executable, tmp_path), extra], runtime_dir, out)
    with pytest.raises(StageFailed, match=r"import 'env\.random_get' \(function\)"):
        check_abi(out)


def test_write_library_refuses_a_function_nobody_provides(
    runtime_dir: Path, tmp_path: Path
) -> None:
    executable = build_tiny(call="vm.builtin.no_such_builtin")
    with pytest.raises(StageFailed, match=r"not have: 'vm\.builtin\.no_such_builtin'"):
        objects.write_library(executable, runtime_dir, tmp_path / "lib.wasm")
    assert list(tmp_path.iterdir()) == []


def test_write_library_refuses_native_code(runtime_dir: Path, tmp_path: Path) -> None:
    executable = build_tiny(host="x86_64-unknown-linux-gnu")
    with pytest.raises(StageFailed, match="host code is not WebAssembly"):
        objects.write_library(executable, runtime_dir, tmp_path / "lib.wasm")


def test_check_packed_functions_returns_the_builtins(executable: Any, runtime_dir: Path) -> None:
    needed = objects.check_packed_functions(executable, runtime_dir)
    assert {"vm.builtin.match_shape", "vm.builtin.alloc_storage"} <= set(needed)
    assert all(name.startswith("vm.builtin.") for name in needed)


@pytest.mark.slow
def test_runtime_is_the_same_built_elsewhere(runtime_dir: Path, tmp_path: Path) -> None:
    again = build_runtime(tmp_path / "another" / "cache", jobs=2)
    assert again.name == runtime_dir.name
    for name in (*runtime.UNITS, *runtime.LIBRARIES, runtime.MANIFEST):
        assert sha256(again / name) == sha256(runtime_dir / name), name


@pytest.mark.parametrize(
    ("contract", "called_otherwise"),
    [
        # Two are called over a line break.
        (WEB_LLM, {"TVMFFIWasmGetLastError", "TVMFFIWasmFunctionCreate"}),
        pytest.param(
            WEB_LLM_0_2_79,
            {"TVMGetLastError", "TVMWasmFuncCreateFromCFunc"},
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda value: getattr(value, "web_llm", ""),
)
def test_contract_is_that_of_the_npm_bundle(
    contract: Contract, called_otherwise: set[str], tmp_path: Path
) -> None:
    archive = tmp_path / "web-llm.tgz"
    try:
        registry.download("@mlc-ai/web-llm", contract.web_llm, archive)
    except registry.NotFetched as exc:
        pytest.skip(f"the npm registry cannot be reached: {exc}")
    shutil.unpack_archive(archive, tmp_path, filter="data")
    found = read_contract(tmp_path / "package" / "lib" / "index.js")
    assert found.imports == contract.imports["wasi_snapshot_preview1"]
    assert found.exports <= contract.exports | contract.optional_exports
    assert contract.exports - found.exports == {"memory", "_initialize", *called_otherwise}
    known = contract.global_functions | contract.optional_global_functions
    assert found.global_functions - RPC_FUNCTIONS == known
