"""Own TVM's browser runtime: compiled once per toolchain into a content-addressed folder.

The sources are those of the installed apache-tvm and apache-tvm-ffi wheels, compiled where they
lie; ``overlay/`` adds the headers they include but do not ship, and our own support unit.
A runtime folder holds the objects, zig's C and C++ libraries for WASI, and ``manifest.json``.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from webslm.basics import fs
from webslm.basics.errors import EnvironmentMismatch
from webslm.basics.keys import file_digest
from webslm.compiler.wasm.zig import collect_libraries, run_zig

FORMAT = 4
"""Raise it when the code of this module changes what lies in a runtime folder."""

WHEELS = ("apache-tvm", "apache-tvm-ffi", "ziglang")
OVERLAY = Path(__file__).resolve().parent / "overlay"
MANIFEST = "manifest.json"

COMPILE_FLAGS = (
    *("-target", "wasm32-wasi", "-O2", "-g0", "-std=c++17"),
    # web-llm provides no exception imports: a throw is a call of our loud __cxa_throw.
    *("-fignore-exceptions", "-fno-sanitize=undefined"),
    *("-D_WASI_EMULATED_SIGNAL", "-D_WASI_EMULATED_PROCESS_CLOCKS"),
    "-DTVM_FFI_CMAKE_LITTLE_ENDIAN=1",
    # The wheels' sources are not ours to tidy.
    "-w",
    *("-include", "overlay/webslm/single_thread.h"),
    # The overlay first; its deeper folders are there for the sources' "../" includes.
    *("-Ioverlay", "-Ioverlay/src/runtime", "-Ioverlay/src/runtime/vm"),
    *("-Ioverlay/src/runtime/extra/contrib/sort", "-Ioverlay/web/emcc", "-Ioverlay/include"),
    *("-Itvm", "-Itvm/include", "-I3rdparty/tvm-ffi/include"),
    *("-I3rdparty/tvm-ffi/3rdparty/dlpack/include", "-I."),
)
UNITS = {
    "wasm_runtime.o": "tvm/web/emcc/wasm_runtime.cc",
    "webgpu_runtime.o": "tvm/web/emcc/webgpu_runtime.cc",
    "tvmjs_support.o": "tvm/web/emcc/tvmjs_support.cc",
    "webslm_support.o": "overlay/webslm/webslm_support.cc",
    "webslm_wasi.o": "overlay/webslm/webslm_wasi.cc",
}
"""Object to source, longest compilation first."""

DROPPED = (
    "src/runtime/rpc/rpc_channel.cc",
    "src/runtime/rpc/rpc_endpoint.cc",
    "src/runtime/rpc/rpc_event_impl.cc",
    "src/runtime/rpc/rpc_module.cc",
    "src/runtime/timer.cc",
    "3rdparty/tvm-ffi/src/ffi/testing/testing.cc",
)
"""Sources the browser never calls; an empty file of their name in the overlay drops them out."""

LIBRARIES = (
    *("crt1-reactor.o", "libc.a", "libzigc.a", "libc++.a", "libc++abi.a", "libcompiler_rt.a"),
)
"""What zig builds on demand and links into every WASI reactor, in link order."""


def runtime_digest() -> str:
    """Return the sha256 over everything that decides the runtime's objects."""
    recipe = {
        "format": FORMAT,
        "wheels": _wheel_versions(),
        "flags": COMPILE_FLAGS,
        "units": UNITS,
        "dropped": DROPPED,
        "libraries": LIBRARIES,
        "overlay": {
            path.relative_to(OVERLAY).as_posix(): file_digest(path)
            for path in fs.tree_files(OVERLAY)
        },
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def build_runtime(
    cache_dir: Path,
    *,
    jobs: int | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Path:
    """Return the runtime folder ``cache_dir/<digest16>``, building it when it is not there.

    It appears whole or not at all: everything is made in a temporary folder beside it and renamed
    at the end. Two processes may build at once; one wins and both return the same bytes.

    Args:
        cache_dir: Where runtimes are kept; made when absent.
        jobs: Compilations at a time; the number of processors when None.
        on_progress: Told one line per finished piece of work.

    Raises:
        EnvironmentMismatch: A wheel of the toolchain is missing.
        ToolFailed: A source did not compile.
    """
    say = on_progress or _say_nothing
    digest = runtime_digest()
    target = cache_dir / digest[:16]
    if target.is_dir():
        if _is_whole(target):
            return target
        say(f"runtime {target.name} is damaged: building it again")
        _discard(target)
    with fs.temporary_dir(cache_dir, "build") as work:
        built = work / "runtime"
        _stage_sources(work)
        _build(work, built, jobs or os.cpu_count() or 1, say)
        _write_manifest(built, digest)
        fs.sync_tree(built)
        _appear(built, target)
    return target


def _appear(built: Path, target: Path) -> None:
    try:
        built.rename(target)
    except OSError:
        # Another process was faster: its folder holds the same bytes.
        if not _is_whole(target):
            raise


def object_files(runtime_dir: Path) -> list[Path]:
    """Return a runtime's own objects, without zig's libraries."""
    return [runtime_dir / name for name in UNITS]


def _say_nothing(_line: str) -> None:
    pass


def _wheel_versions() -> dict[str, str]:
    versions = {}
    for wheel in WHEELS:
        try:
            versions[wheel] = importlib.metadata.version(wheel)
        except importlib.metadata.PackageNotFoundError as exc:
            raise EnvironmentMismatch(
                f"wasm toolchain: the package '{wheel}' is not installed",
                hint=f"pip install {wheel}",
            ) from exc
    return versions


def _package_dir(name: str) -> Path:
    # find_spec does not import: tvm takes a second and initialises LLVM.
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise EnvironmentMismatch(f"wasm toolchain: the package '{name}' is not installed")
    return Path(spec.origin).resolve().parent


def _stage_sources(work: Path) -> None:
    """Lay out one folder in which every include resolves by a relative path.

    Relative paths are what ends up in error messages, so objects do not depend on where the
    wheels or the cache lie.
    """
    overlay = work / "overlay"
    fs.copy_tree(OVERLAY, overlay)
    for folder in ("src/runtime/vm", "src/runtime/extra/contrib/sort", "web/emcc"):
        (overlay / folder).mkdir(parents=True, exist_ok=True)
    for name in DROPPED:
        (overlay / name).parent.mkdir(parents=True, exist_ok=True)
        (overlay / name).write_bytes(b"")
    (work / "3rdparty").mkdir()
    (work / "tvm").symlink_to(_package_dir("tvm"), target_is_directory=True)
    (work / "3rdparty" / "tvm-ffi").symlink_to(_package_dir("tvm_ffi"), target_is_directory=True)


def _build(work: Path, built: Path, jobs: int, say: Callable[[str], None]) -> None:
    built.mkdir()

    def compile_unit(name: str) -> str:
        argv = ["c++", *COMPILE_FLAGS, "-c", UNITS[name], "-o", f"runtime/{name}"]
        run_zig(argv, cwd=work, cache=work / "zig")
        return name

    def make_libraries() -> str:
        collect_libraries(LIBRARIES, work, work / "zig", built)
        return "C and C++ libraries"

    total = len(UNITS) + 1
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        tasks = [pool.submit(compile_unit, next(iter(UNITS))), pool.submit(make_libraries)]
        tasks += [pool.submit(compile_unit, name) for name in list(UNITS)[1:]]
        try:
            for done, task in enumerate(as_completed(tasks), start=1):
                say(f"wasm runtime {done}/{total}: {task.result()}")
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _write_manifest(built: Path, digest: str) -> None:
    files = {name: file_digest(built / name) for name in sorted(_file_names())}
    text = json.dumps({"digest": digest, "files": files}, indent=1, sort_keys=True)
    fs.write_text(built / MANIFEST, text + "\n")


def _is_whole(folder: Path) -> bool:
    """Tell whether a runtime folder is what its manifest says (8 MB of hashing: some 10 ms)."""
    try:
        manifest: Mapping[str, Mapping[str, str]] = json.loads(
            (folder / MANIFEST).read_text(encoding="utf-8")
        )
        files = manifest["files"]
        return set(files) == set(_file_names()) and all(
            file_digest(folder / name) == files[name] for name in files
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _discard(folder: Path) -> None:
    # Renamed first, so that no other process sees it half deleted under its own name.
    with fs.temporary_dir(folder.parent, "damaged") as grave:
        folder.rename(grave / "damaged")


def _file_names() -> Sequence[str]:
    return (*UNITS, *LIBRARIES)
