"""Own what a web-llm release provides to a model library and needs from it: data, no decisions.

Read from the ``@mlc-ai/web-llm`` npm bundle; ``read_contract`` reads it again from any bundle, so
that a test (or a version bump) can tell what drifted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from webslm.basics.errors import ConfigError

VM_FUNCTIONS = frozenset(
    [
        "embed",
        "prefill",
        "decode",
        "create_tir_paged_kv_cache",
        "softmax_with_temperature",
        "argsort_probs",
        "sample_with_top_p",
        "apply_bitmask_inplace",
        "apply_penalty_inplace",
        "apply_logit_bias_inplace",
    ]
)
"""What every release looks up in a chat model's VM, beside ``_metadata``."""
ALL_LOGITS = "batch_verify"
"""A prefill that returns the logits of every position, [1, n, V], as mlc_llm names it. web-llm
looks for none; the proof calls it where a library has it, and webslm's own all have."""
ALL_LOGITS_BUILTINS = frozenset({"vm.builtin.kv_state_popn"})
"""What the proof looks up in the registry besides, to force several continuations of a prompt."""


@dataclass(frozen=True)
class Contract:
    """The names one web-llm release and a model library must agree on."""

    web_llm: str
    """Release of ``@mlc-ai/web-llm``."""
    imports: Mapping[str, frozenset[str]]
    """Module name to the functions it offers; any other import is a LinkError in the page."""
    exports: frozenset[str]
    """What its JavaScript calls on the instance."""
    optional_exports: frozenset[str]
    """Called only where they exist (debugging)."""
    global_functions: frozenset[str]
    """Looked up in TVM's function registry; a missing one ends the load."""
    optional_global_functions: frozenset[str]
    """Looked up, but tolerated when absent."""
    page_functions: frozenset[str]
    """Registered by its JavaScript before the VM starts: the library may call them."""
    first_data_address: int
    """Below it, its JavaScript writes into linear memory on every load."""
    tensor_index: str = "tensor-cache.json"
    """The file in which it looks for the weights' names and places."""


_WASI = frozenset(
    [
        "TVMFFIWasmFunctionDeleter",
        "TVMFFIWasmSafeCall",
        "clock_time_get",
        "emscripten_notify_memory_growth",
        "environ_get",
        "environ_sizes_get",
        "fd_close",
        "fd_read",
        "fd_seek",
        "fd_write",
        "proc_exit",
    ]
)

WEB_LLM = Contract(
    web_llm="0.2.85",
    imports={
        "wasi_snapshot_preview1": _WASI,
        "env": _WASI | {"__cxa_thread_atexit", "__console_log"},
    },
    exports=frozenset(
        [
            "memory",
            "_initialize",
            "TVMWasmAllocSpace",
            "TVMWasmFreeSpace",
            "TVMFFIWasmFunctionCreate",
            "TVMFFIWasmGetLastError",
            "TVMFFIFunctionGetGlobal",
            "TVMFFIFunctionSetGlobal",
            "TVMFFIFunctionCall",
            "TVMFFIObjectDecRef",
            "TVMFFIAnyViewToOwnedAny",
            "TVMFFITypeKeyToIndex",
            "TVMFFIDataTypeToString",
            "TVMFFIErrorSetRaisedFromCStr",
        ]
    ),
    optional_exports=frozenset({"TVMFFIGetTypeInfo"}),
    global_functions=frozenset(
        [
            "ffi.Array",
            "ffi.ArrayGetItem",
            "ffi.ArraySize",
            "ffi.FunctionListGlobalNamesFunctor",
            "ffi.ModuleGetFunction",
            "ffi.ModuleImportModule",
            "ffi.Shape",
            "ffi.SystemLib",
            "runtime.TVMTensorAllocWithScope",
            "runtime.TVMTensorCopyFromTo",
            "runtime.TVMTensorCreateView",
            "tvmjs.array.decode_storage",
            "tvmjs.runtime.ArrayConcat",
            "tvmjs.runtime.ConcatEmbeddings",
            "tvmjs.runtime.TensorCopyFromBytes",
            "tvmjs.runtime.TensorCopyToBytes",
            "vm.builtin.apply_presence_and_frequency_penalty",
            "vm.builtin.apply_repetition_penalty",
            "vm.builtin.apply_softmax_with_temperature",
            "vm.builtin.attention_kv_cache_enable_sliding_window_for_seq",
            "vm.builtin.kv_state_add_sequence",
            "vm.builtin.kv_state_begin_forward",
            "vm.builtin.kv_state_clear",
            "vm.builtin.kv_state_end_forward",
            "vm.builtin.kv_state_remove_sequence",
            "vm.builtin.param_module_from_cache",
            "vm.builtin.param_module_from_cache_by_name",
            "vm.builtin.sample_top_p_from_logits",
            "vm.builtin.sample_top_p_from_prob",
            "vm.builtin.tensor_cache.clear",
            "vm.builtin.tensor_cache.get",
            "vm.builtin.tensor_cache.remove",
            "vm.builtin.tensor_cache.update",
        ]
    ),
    optional_global_functions=frozenset({"tvmjs.array.decode_bf16_to_f32_inplace"}),
    page_functions=frozenset({"wasm.WebGPUDeviceAPI", "wasm.WebGPUCreateShader"}),
    first_data_address=1024,
)
"""The release of the default matrix row."""

_THREADS = frozenset(
    ["_ZN3tvm7runtime9threading10NumThreadsEv", "_ZN3tvm7runtime9threading15ResetThreadPoolEv"]
)

_PACKED = frozenset({"TVMWasmPackedCFunc", "TVMWasmPackedCFuncFinalizer"})
_WASI_PACKED = (
    frozenset(name for name in _WASI if not name.startswith("TVMFFI")) | _PACKED | _THREADS
)

WEB_LLM_0_2_79 = Contract(
    web_llm="0.2.79",
    imports={
        "wasi_snapshot_preview1": _WASI_PACKED,
        "env": _WASI_PACKED | {"__cxa_thread_atexit", "__console_log"},
    },
    exports=frozenset(
        [
            "memory",
            "_initialize",
            "TVMWasmAllocSpace",
            "TVMWasmFreeSpace",
            "TVMWasmFuncCreateFromCFunc",
            "TVMAPISetLastError",
            "TVMArrayAlloc",
            "TVMArrayCopyFromBytes",
            "TVMArrayCopyFromTo",
            "TVMArrayCopyToBytes",
            "TVMArrayFree",
            "TVMCFuncSetReturn",
            "TVMCbArgToReturn",
            "TVMFuncCall",
            "TVMFuncFree",
            "TVMFuncGetGlobal",
            "TVMFuncListGlobalNames",
            "TVMFuncRegisterGlobal",
            "TVMGetLastError",
            "TVMModFree",
            "TVMModGetFunction",
            "TVMModImport",
            "TVMObjectFree",
            "TVMObjectGetTypeIndex",
            "TVMObjectTypeIndex2Key",
            "TVMObjectTypeKey2Index",
        ]
    ),
    optional_exports=frozenset(),
    global_functions=frozenset(
        [
            "runtime.Array",
            "runtime.ArrayGetItem",
            "runtime.ArraySize",
            "runtime.GetFFIString",
            "runtime.ShapeTuple",
            "runtime.String",
            "runtime.SystemLib",
            "runtime.TVMArrayCreateView",
            "vm.builtin.ndarray_cache.clear",
            "vm.builtin.ndarray_cache.get",
            "vm.builtin.ndarray_cache.remove",
            "vm.builtin.ndarray_cache.update",
            *(
                name
                for name in WEB_LLM.global_functions
                if name.startswith(("vm.builtin.", "tvmjs."))
                and "tensor_cache" not in name
                and "Tensor" not in name
            ),
        ]
    ),
    optional_global_functions=frozenset(),
    page_functions=WEB_LLM.page_functions,
    first_data_address=1024,
    tensor_index="ndarray-cache.json",
)
"""The last release before TVM's present object ABI: only an mlc_llm of 2025 compiles for it."""

CONTRACTS: Mapping[str, Contract] = {
    contract.web_llm: contract
    for contract in (
        WEB_LLM_0_2_79,
        replace(
            WEB_LLM,
            web_llm="0.2.84",
            imports={host: names | _THREADS for host, names in WEB_LLM.imports.items()},
            optional_global_functions=frozenset(),
        ),
        WEB_LLM,
        replace(
            WEB_LLM, web_llm="0.2.86", exports=WEB_LLM.exports | frozenset({"TVMFFIObjectIncRef"})
        ),
    )
}
"""Contracts by release; a matrix row names one of them."""


def contract_of(web_llm: str) -> Contract:
    """Return the contract of a release.

    Raises:
        ConfigError: Nobody has read that release's bundle.
    """
    if web_llm not in CONTRACTS:
        raise ConfigError(
            f"runtime.web_llm: the contract of web-llm {web_llm} is not known",
            hint=f"one of {', '.join(CONTRACTS)}",
        )
    return CONTRACTS[web_llm]


@dataclass(frozen=True)
class BundleNames:
    """The names found in a web-llm bundle's JavaScript."""

    imports: frozenset[str]
    exports: frozenset[str]
    global_functions: frozenset[str]


def read_contract(web_llm_js: Path) -> BundleNames:
    """Read the names from a web-llm bundle (``lib/index.js`` of the npm package).

    Only names that stand as literals are found: ``memory`` and what the tokenizer's and grammar's
    own modules use are outside, and ``imports`` is the object shared by both module names.
    """
    text = web_llm_js.read_text(encoding="utf-8")
    marks = "TVMFFIWasmSafeCall|TVMWasmPackedCFunc"
    offered = re.search(rf"\bwasmImports=\{{([^}}]*(?:{marks})[^}}]*)\}}", text)
    imports = {item.split(":")[0] for item in offered.group(1).split(",")} if offered else set()
    called = set(re.findall(r"\.exports\.(TVM\w+)", text))
    looked_up = set(re.findall(r"getGlobalFunc\w*\(\s*[\"']([\w.]+)[\"']", text))
    return BundleNames(frozenset(imports), frozenset(called), frozenset(looked_up))
