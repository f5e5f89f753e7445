"""mlc_llm: its row, its config.json, its failures, its weights; nothing of it runs here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from webslm.basics.errors import EnvironmentMismatch
from webslm.compiler.imported import differences
from webslm.compiler.memory import library_tensors
from webslm.compiler.mlc_failures import FAILURES, explain
from webslm.compiler.mlc_llm import Found
from webslm.config.checks.pairing import problems
from webslm.config.compose import compose
from webslm.engine.machine.matrix import rows
from webslm.engine.machine.mlc_tool import check_found
from webslm.engine.machine.pins import for_python
from webslm.engine.table import STAGES
from webslm.model.architectures import architecture
from webslm.model.weights.mlc_config import config_of, release_config
from webslm.schema import CompileStageConf

ROWS = rows()
GOOD: dict[str, str | None] = {
    "mlc-llm": "0.20.0",
    "tvm": "0.27.dev0",
    "python": "3.13.1",
    "emscripten": "3.1.56",
}

GOOD_TOOLS = {"emscripten": "3.1.56"}


def told(*words: str) -> list[tuple[str, str | None]]:
    return list(problems(compose(list(words))))


def test_compiler_brings_its_row_and_yields_to_another() -> None:
    assert compose(["compiler=mlc_llm"]).runtime == for_python(ROWS["mlc_llm_0_20"])
    older = compose(["compiler=mlc_llm", "runtime=mlc_llm_0_19"]).runtime
    assert older == for_python(ROWS["mlc_llm_0_19"])
    assert told("compiler=mlc_llm") == told("compiler=mlc_llm", "runtime=mlc_llm_0_19") == []


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (
            ("compiler=mlc_llm", "runtime=web_llm_0_2_86"),
            "compiler: mlc_llm does not go with row 'web_llm_0_2_86', which pins the wheels of "
            "compiler=tvm",
            "runtime=mlc_llm_0_20",
        ),
        (
            ("compiler=tvm", "runtime=mlc_llm_0_19"),
            "compiler: tvm does not go with row 'mlc_llm_0_19', which pins an mlc_llm",
            "runtime=web_llm_0_2_84",
        ),
        (
            ("compiler=mlc_llm", "runtime=mlc_llm_0_19", "base=qwen3_0_6b"),
            "compiler: the mlc_llm of row 'mlc_llm_0_19' makes no library for 'qwen3' that "
            "computes what torch does",
            "runtime=mlc_llm_0_20 or compiler=tvm",
        ),
        (
            ("compiler=mlc_llm", "quant=q8f16_1"),
            "compiler: the mlc_llm of row 'mlc_llm_0_20' does not know the format 'q8f16_1'",
            "quant=q4f32_1",
        ),
        (
            ("compiler=mlc_llm", "compiler.python=isolated"),
            "compiler.python: isolated: no index of pip has an mlc_llm to install",
            "the path of a Python",
        ),
    ],
)
def test_pair_that_cannot_be_is_told_before_work(
    words: tuple[str, ...], message: str, hint: str
) -> None:
    [(found, what)] = told(*words)
    assert found == message
    assert hint in str(what)


def test_prebuilt_library_goes_with_every_row() -> None:
    words = ("compiler=prebuilt", "compiler.path=x.wasm")
    assert all(not told(*words, f"runtime={row}") for row in ROWS)


def test_found_tool_of_the_row_passes() -> None:
    check_found(Path("python"), Found(versions=GOOD, there=True, error=None), ROWS["mlc_llm_0_20"])


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        ({"mlc-llm": "0.20.1"}, "mlc-llm is 0.20.1, row", "runtime.tools.mlc-llm=0.20.1, which"),
        ({"mlc-llm": "0.19.0"}, "mlc-llm is 0.19.0, row", "row: runtime=mlc_llm_0_19"),
        ({"mlc-llm": None}, "mlc-llm is absent or does not say", "pip install TREE/python"),
        ({"tvm": "0.20.dev3"}, "tvm is 0.20.dev3, row", "environment of that release"),
        ({"tvm": None}, "tvm is unknown, row", "environment of that release"),
        ({"emscripten": "4.0.1"}, "emscripten is 4.0.1, row 'mlc_llm_0_20' pins 3.1.56", "runtime"),
        ({"emscripten": None}, "emscripten is absent", "emsdk install 3.1.56"),
    ],
)
def test_tool_that_is_not_the_rows_is_one_sentence(
    change: dict[str, str | None], message: str, hint: str
) -> None:
    found = Found(versions={**GOOD, **change}, there=True, error=None)
    with pytest.raises(EnvironmentMismatch) as caught:
        check_found(Path("python"), found, ROWS["mlc_llm_0_20"])
    assert caught.value.message.startswith(f"compiler=mlc_llm: {message}")
    assert hint in (caught.value.hint or "")


def test_present_source_build_is_not_taken_for_the_old_one() -> None:
    """0.20.0 without git says 0.20.0.dev0, as did the first day after 0.19: TVM tells them."""
    versions = {**GOOD, "mlc-llm": "0.20.0.dev0"}
    row = replace(ROWS["mlc_llm_0_19"], tools={**GOOD_TOOLS, "mlc-llm": "0.20.0.dev0"})
    with pytest.raises(EnvironmentMismatch, match=r"tvm is 0\.27\.dev0, row 'mlc_llm_0_19' allows"):
        check_found(Path("python"), Found(versions=versions, there=True, error=None), row)


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "qwen3"])
def test_config_is_the_same_from_either_spelling_and_from_itself(kind: str) -> None:
    shape = compose(["base=qwen2_5_0_5b", f"base.shape.model_type={kind}"]).base.shape
    old = {**architecture(kind).config(shape), "torch_dtype": "bfloat16"}
    new: dict[str, Any] = {
        **{key: value for key, value in old.items() if key not in ("rope_theta", "torch_dtype")},
        "rope_scaling": None,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_theta},
        "dtype": "bfloat16",
    }
    expected = release_config(old)
    assert release_config(new) == expected
    assert release_config(expected) == expected
    assert (expected["rope_theta"], expected["torch_dtype"]) == (1000000.0, "bfloat16")
    assert not {"rope_parameters", "dtype"} & set(expected)
    assert config_of(shape) == {**expected, "torch_dtype": "float32"}


def test_scaled_rotary_positions_are_kept() -> None:
    shape = compose(["base=llama_3_2_1b"]).base.shape
    config = config_of(shape)
    assert config["rope_theta"] == shape.rope_theta
    assert config["rope_scaling"]["rope_type"] == "llama3"
    assert release_config(config) == config


OUTPUTS = {
    "TypeError: QWen2Config.__init__() missing 1 required positional argument: 'rope_theta'": (
        "its model class misses a field of config.json ('rope_theta')"
    ),
    "usage: ...\nunrecognized arguments: --enable-subgroups": (
        "this mlc_llm has other options than the row's (--enable-subgroups)"
    ),
    "argument --quantization: invalid choice: 'q8f16_1' (choose from 'q0f16')": (
        "this mlc_llm does not know the weight format (q8f16_1)"
    ),
    "ValueError: Unknown model type: qwen3. Available ones: ['llama']": (
        "this mlc_llm does not know the architecture (qwen3)"
    ),
    "AssertionError: Unsupported RoPE scaling type yarn for Llama": (
        "it cannot scale this model's rotary positions (yarn)"
    ),
    "RuntimeError: Cannot find library: mlc_wasm_runtime.bc\nMake sure you have run": (
        "its own runtime for the browser was never built (mlc_wasm_runtime.bc)"
    ),
    "RuntimeError: Cannot find libraries: wasm_runtime.bc\nCandidates:": (
        "TVM's runtime for the browser was never built (wasm_runtime.bc)"
    ),
    "FileNotFoundError: [Errno 2] No such file or directory: 'emcc'": ("emcc is not on the PATH"),
    "wasm-ld: error: lto.tmp\nUnknown attribute kind (91) (Producer: 'LLVM19')": (
        "emscripten reads older bitcode than TVM's LLVM writes"
    ),
    "ModuleNotFoundError: No module named 'tvm.tir'": ("its environment lacks a module (tvm.tir)"),
    "OSError: libtvm_runtime.so: cannot open shared object file": (
        "TVM and mlc_llm are not of one build"
    ),
    "InternalError: blockIdx.z is not supported in WebGPU to avoid ...": (
        "its TVM makes kernels that no browser takes"
    ),
    "ValueError: Parameter not found in source: model.norm.weight": (
        "the checkpoint and its model class name other tensors (model.norm.weight)"
    ),
    "ValueError: Device is not found on your local environment: cpu": (
        "its TVM has no CPU device (cpu)"
    ),
    "terminate called after throwing an instance of 'std::bad_alloc'": "out of memory",
}


@pytest.mark.parametrize(("output", "sentence"), OUTPUTS.items())
def test_known_failure_becomes_a_sentence_with_a_hint(output: str, sentence: str) -> None:
    found = explain(f"[2026-11-21] INFO Found model\n{output}\n", 1)
    assert found is not None
    assert found[0] == sentence
    assert found[1]


def test_every_known_failure_has_an_output_that_shows_it() -> None:
    shown = {failure.sentence for failure in FAILURES}
    assert shown == {sentence.split(" (")[0] for sentence in OUTPUTS.values()}


def test_killed_command_ran_out_of_memory_and_other_output_means_nothing() -> None:
    assert explain("", -9) == ("out of memory", "close programs, or a smaller base")
    assert explain("something else went wrong", 1) is None


def test_library_that_takes_any_vocabulary_fits() -> None:
    spec = next(spec for spec in STAGES if spec.name == "compile")
    conf = spec.configure(compose(["base=qwen2_5_0_5b"]))
    assert isinstance(conf, CompileStageConf)
    tensors = library_tensors(conf.shape, conf.quant)
    size = conf.shape.vocab_size
    metadata: dict[str, Any] = {
        "model_type": "qwen2",
        "quantization": conf.quant.name,
        "context_window_size": conf.compiler.context_window_size,
        "prefill_chunk_size": conf.compiler.prefill_chunk_size,
        "tensor_parallel_shards": 1,
        "params": [
            {
                "name": tensor.name,
                "shape": ["vocab_size" if part == size else part for part in tensor.shape],
                "dtype": tensor.dtype,
            }
            for tensor in reversed(tensors)
        ],
    }
    assert list(differences(json.loads(json.dumps(metadata)), conf)) == []
    metadata["params"][-1]["shape"].append(1)
    assert [field for field, _, _ in differences(metadata, conf)] == [f"params.{tensors[0].name}"]
