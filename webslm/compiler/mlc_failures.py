"""Own what mlc_llm's known failures mean: what its output holds, the sentence, what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass

DOCS = "docs/how-to/mlc-llm.md"
KILLED = -9


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One known failure."""

    pattern: re.Pattern[str]
    """Found in the output; its first group, if any, is what the sentence ends with."""
    sentence: str
    hint: str


def _known(pattern: str, sentence: str, hint: str) -> Failure:
    return Failure(pattern=re.compile(pattern), sentence=sentence, hint=hint)


FAILURES: tuple[Failure, ...] = (
    _known(
        r"unrecognized arguments: (.+)|the following arguments are required: (.+)",
        "this mlc_llm has other options than the row's",
        "install the release that the row names, or choose its row: runtime=mlc_llm_0_20",
    ),
    _known(
        r"argument --quantization: invalid choice: '(\w+)'",
        "this mlc_llm does not know the weight format",
        "a format that all releases know: quant=q4f32_1 or quant=q4f16_1",
    ),
    _known(
        r"Unknown model type: ([\w-]+)|argument --model-type: invalid choice: '([\w.-]+)'",
        "this mlc_llm does not know the architecture",
        "compiler=tvm, or a newer mlc_llm",
    ),
    _known(
        r"__init__\(\) missing \d+ required positional arguments?: (.+)",
        "its model class misses a field of config.json",
        "the release reads another config.json than the row's: choose its row, such as "
        "runtime=mlc_llm_0_20",
    ),
    _known(
        r"Unsupported RoPE scaling type (\S+)",
        "it cannot scale this model's rotary positions",
        "compiler=tvm",
    ),
    _known(
        r"Cannot find librar(?:y|ies): (mlc_wasm_runtime\.bc)",
        "its own runtime for the browser was never built",
        "run ./web/prep_emcc_deps.sh in its source tree, then export MLC_LLM_SOURCE_DIR=TREE",
    ),
    _known(
        r"[^\n]*?((?:wasm_runtime|tvmjs_support|webgpu_runtime)\.bc)[^\n]*"
        r"(?:not found|[Cc]annot find|does not exist|No such file)"
        r"|(?:not found|[Cc]annot find|does not exist|No such file)[^\n]*?"
        r"((?:wasm_runtime|tvmjs_support|webgpu_runtime)\.bc)",
        "TVM's runtime for the browser was never built",
        "run make in TVM's web folder with emcc on the PATH, and copy dist/wasm/*.bc to its build "
        "folder",
    ),
    _known(
        r"emcc: (?:command )?not found|No such file or directory: '?emcc'?",
        "emcc is not on the PATH",
        "source emsdk_env.sh before the build: emsdk install 3.1.56 && emsdk activate 3.1.56",
    ),
    _known(
        r"Invalid bitcode|Unknown attribute kind|Opaque pointers are only supported|"
        r"wasm-ld: error: [^\n]*\.(?:bc|o): (?:Unknown|Invalid)",
        "emscripten reads older bitcode than TVM's LLVM writes",
        "build the runtime and the library with emscripten 3.1.56, and TVM with its LLVM",
    ),
    _known(
        r"ModuleNotFoundError: No module named '([\w.]+)'",
        "its environment lacks a module",
        f"install it there: PYTHON -m pip install MODULE ({DOCS})",
    ),
    _known(
        r"libtvm\w*\.so: (?:cannot open|undefined symbol)|already registered",
        "TVM and mlc_llm are not of one build",
        f"make the environment anew with both of one release ({DOCS})",
    ),
    _known(
        r"blockIdx\.z is not supported in WebGPU",
        "its TVM makes kernels that no browser takes",
        "choose the TVM that the mlc_llm release brings as a submodule",
    ),
    _known(
        r"Parameter not found in (?:model|source): ([^\n]+)",
        "the checkpoint and its model class name other tensors",
        "compiler=tvm, or an mlc_llm that knows this checkpoint",
    ),
    _known(
        r"Device is not found on your local environment: (\S+)",
        "its TVM has no CPU device",
        "build TVM with LLVM: USE_LLVM in its config.cmake",
    ),
    _known(
        r"MemoryError|std::bad_alloc|Cannot allocate memory",
        "out of memory",
        "close programs, or a smaller base",
    ),
)


def explain(output: str, returncode: int | None) -> tuple[str, str] | None:
    """Return what a failed command's output means and what to do, None where it is not known.

    Args:
        output: All that the command printed.
        returncode: How it ended; negative: the signal that ended it.
    """
    if returncode == KILLED:
        return "out of memory", "close programs, or a smaller base"
    for failure in FAILURES:
        found = failure.pattern.search(output)
        if found is not None:
            name = next((part for part in found.groups() if part), None)
            return failure.sentence + (f" ({name.strip()})" if name else ""), failure.hint
    return None
