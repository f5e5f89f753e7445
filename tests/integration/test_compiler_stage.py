"""The stage ``compile`` whole: the linked library, its document, its refusals, its determinism."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.compiler_models import Q0F32, Q4F16, Q4F32, shape
from tests.integration.test_wasm_library import codes
from webslm.basics import paths
from webslm.basics.errors import ConfigError, StageFailed
from webslm.basics.stage import Context
from webslm.compiler.imported import differences
from webslm.compiler.passes.limits import shaders
from webslm.compiler.wasm.shaders import library_shaders
from webslm.model.weights.format import Format
from webslm.schema import CompilerConf, CompileStageConf, QuantConf, RuntimeConf
from webslm.stages import compile_f16
from webslm.stages.compile import run

ROW = RuntimeConf(name="row", web_llm="0.2.85", web_llm_integrity="", wheels={})


def stage_conf(quant: QuantConf, **sizes: Any) -> CompileStageConf:
    return CompileStageConf(
        shape=shape(),
        quant=quant,
        compiler=dataclasses.replace(
            CompilerConf(context_window_size=128, prefill_chunk_size=32), **sizes
        ),
        runtime=ROW,
    )


def context(tmp_path: Path) -> Context:
    # The runtime's objects take a minute and never change: the user's own cache serves.
    return Context(cache_dir=paths.cache_dir(), log_dir=tmp_path)


def compile_anew(quant: QuantConf) -> Any:
    """Return the executable by the same call as the stage's."""
    from webslm.compiler.library import compile_library, webgpu_target

    conf = stage_conf(quant)
    compiled = compile_library(
        conf.shape,
        quant,
        context_window_size=conf.compiler.context_window_size,
        prefill_chunk_size=conf.compiler.prefill_chunk_size,
        target=webgpu_target(),
        opt_level=conf.compiler.opt_level,
    )
    return compiled.executable


@pytest.mark.slow
def test_library_for_float16_takes_the_parameters_of_the_float32_one(tmp_path: Path) -> None:
    documents = []
    for activations in (None, "float16"):
        out = tmp_path / str(activations)
        out.mkdir()
        conf = dataclasses.replace(stage_conf(Q4F32), activations=activations)
        # compile_f16 checks its shaders as compile does: a limit broken raises here.
        (compile_f16.run if activations else run)(conf, {}, out, context(tmp_path))
        documents.append(json.loads((out / "library.json").read_text(encoding="utf-8")))
    single, half = documents
    assert single["metadata"]["params"] == half["metadata"]["params"]
    assert {row["dtype"] for row in half["metadata"]["params"]} == {"uint32", "float32"}
    assert half["metadata"]["quantization"] == "q4f32_1"
    assert [one["metadata"]["activations"] for one in documents] == ["float32", "float16"]
    assert [one["required_features"] for one in documents] == [[], ["shader-f16"]]
    assert single["memory"]["weights_bytes"] == half["memory"]["weights_bytes"]
    assert single["memory"]["kv_cache_bytes"] > 1.9 * half["memory"]["kv_cache_bytes"]
    assert single["wasm"] != half["wasm"]
    # Taken over in the float32 one's place it is refused: it would fail on chips without f16.
    told = [field for field, *_ in differences(half["metadata"], stage_conf(Q4F32))]
    assert told == ["activations"]


@pytest.mark.slow
@pytest.mark.parametrize("quant", [Q0F32, Q4F32, Q4F16], ids=lambda quant: str(quant.name))
def test_compile_writes_a_checked_library(tmp_path: Path, quant: QuantConf) -> None:
    from webslm.model.architectures import architecture

    metrics = run(stage_conf(quant), {}, tmp_path, context(tmp_path))
    names = sorted(path.name for path in tmp_path.iterdir())
    document = json.loads((tmp_path / "library.json").read_text(encoding="utf-8"))
    assert names == [document["wasm"], "library.json"]
    content = (tmp_path / document["wasm"]).read_bytes()
    assert document["wasm_sha256"] == hashlib.sha256(content).hexdigest()
    assert document["wasm"] == f"library-{document['wasm_sha256'][:16]}.wasm"
    assert document["wasm_bytes"] == len(content) == metrics["wasm_bytes"]
    metadata = document["metadata"]
    assert (metadata["prefill_chunk_size"], metadata["kv_state_kind"]) == (32, "kv_cache")
    stored = [
        tensor
        for parameter in architecture("qwen2").parameters(shape())
        for tensor in Format(quant).tensors(parameter)
    ]
    assert [(one["name"], tuple(one["shape"]), one["dtype"]) for one in metadata["params"]] == [
        (tensor.name, tensor.shape, tensor.dtype) for tensor in stored
    ]
    # The string that ``_metadata`` returns lies in the library as it stands in the document.
    assert b'"kv_state_kind":"kv_cache"' in content
    assert document["required_features"] == (["shader-f16"] if quant is Q4F16 else [])
    assert document["num_shaders"] == len(document["shaders"]) > 20
    made = shaders(compile_anew(quant))
    assert codes(library_shaders(tmp_path / document["wasm"])) == codes(made)
    assert document["shaders"] == sorted(made)
    assert content.count(b"@compute @workgroup_size") == document["num_shaders"]
    assert metrics["shader_limits"] == document["shader_limits"]
    assert document["shader_limits"]["threads"] == 256
    assert 0 < document["shader_limits"]["storage_buffers"] <= 10
    memory = document["memory"]
    assert memory["total_bytes"] == sum(
        memory[part] for part in ("weights_bytes", "kv_cache_bytes", "temporaries_bytes")
    )
    assert memory["kv_cache_bytes_by_context"] == {"128": memory["kv_cache_bytes"]}
    assert memory["temporaries_bytes"] == max(metadata["memory_usage"].values())


@pytest.mark.slow
def test_compile_gives_equal_bytes_in_another_process(tmp_path: Path) -> None:
    """Neither the hash seed nor addresses nor the folder decide a byte."""
    digests = set()
    for seed in ("1", "2"):
        out = tmp_path / seed
        out.mkdir()
        code = (
            "from pathlib import Path; import sys; "
            "from tests.integration.test_compiler_stage import *; "
            "out = Path(sys.argv[1]); run(stage_conf(Q4F32), {}, out, context(out))"
        )
        subprocess.run(
            [sys.executable, "-c", code, str(out)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            check=True,
        )
        digests.add(hashlib.sha256((out / "library.json").read_bytes()).hexdigest())
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prefill_chunk_size": 0}, "compiler.prefill_chunk_size: 0 is not above 0"),
        ({"context_window_size": 0}, "compiler.context_window_size: 0 is not above 0"),
        ({"context_window_size": 257}, "257 is above the 256 tokens the base was made for"),
    ],
)
def test_compile_refuses_sizes_before_any_work(
    tmp_path: Path, change: dict[str, int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(stage_conf(Q0F32, **change), {}, tmp_path, context(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_library_over_its_budget_fails_the_build(tmp_path: Path) -> None:
    conf = stage_conf(Q0F32, max_shaders=9, max_wasm_bytes=1000)
    both = (
        r"compile: \d\d shaders, and compiler\.max_shaders allows 9; "
        r"\d{7} bytes of library, and compiler\.max_wasm_bytes allows 1000"
    )
    with pytest.raises(StageFailed, match=both):
        run(conf, {}, tmp_path, context(tmp_path))


def test_compile_refuses_a_format_nobody_can_store(tmp_path: Path) -> None:
    quant = dataclasses.replace(Q4F32, bits=5)
    with pytest.raises(ConfigError, match=r"quant\.bits: 5"):
        run(stage_conf(quant), {}, tmp_path, context(tmp_path))
