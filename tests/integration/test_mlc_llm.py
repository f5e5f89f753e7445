"""``compiler=mlc_llm`` against the strict stand-in: real interpreter, real files, real checks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests import training
from tests.integration.conftest import OUTPUT, SMALL, TAUGHT, read_report, run_build, stored
from tests.locks import schema_errors
from tests.mlc_environment import make_environment, make_tree, recorded
from tests.site_inputs import configuration, write_inputs
from webslm.basics import model_files
from webslm.basics.errors import ConfigError, EnvironmentMismatch, StageFailed
from webslm.basics.fs import tree_files
from webslm.config.compose import compose
from webslm.engine.machine.matrix import rows
from webslm.engine.machine.mlc_tool import check_tool, look
from webslm.engine.table import STAGES
from webslm.model.architectures import architecture
from webslm.model.weights.shards import ShardReader
from webslm.schema import CompileStageConf, ConvertStageConf, QuantConf
from webslm.stages import bundle, convert
from webslm.stages import compile as stage

BUILD = (*TAUGHT, "until=compile")
SHAPE = training.SHAPE
FORMATS = {
    "q0f32": QuantConf(name="q0f32", bits=0, dtype="float32"),
    "q4f16_1": QuantConf(name="q4f16_1", bits=4, dtype="float16"),
    "q4f32_1": QuantConf(name="q4f32_1", bits=4, dtype="float32", scale_encoding="f32-to-bf16"),
}
Environ = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the stand-in of 0.20.0 and a tvm that is only a name."""
    return make_environment(tmp_path_factory.mktemp("mlc") / "env")


@pytest.fixture(scope="module")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the stand-in of 0.19.0."""
    folder = tmp_path_factory.mktemp("mlc_old") / "env"
    return make_environment(folder, mlc_llm="0.19.0", tvm="0.20.dev0")


@pytest.fixture
def record(tmp_path: Path, monkeypatch: Environ) -> Path:
    """Where the stand-in writes what it was called with; its source tree is there too."""
    monkeypatch.setenv("MLC_LLM_SOURCE_DIR", str(make_tree(tmp_path / "tree")))
    monkeypatch.setenv("MLC_STAND_IN_RECORD", str(tmp_path / "record.jsonl"))
    return tmp_path / "record.jsonl"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that this build can adopt."""
    root = tmp_path_factory.mktemp("built")
    done = run_build(*TAUGHT, "only=compile", cwd=root)
    assert done.returncode == 0, done.stderr + done.stdout
    (found,) = stored(root / OUTPUT)["compile"].glob("*.wasm")
    return found


def conf(python: Path, *words: str) -> CompileStageConf:
    spec = next(spec for spec in STAGES if spec.name == "compile")
    found = spec.configure(
        compose([*TAUGHT, "compiler=mlc_llm", *words, f"compiler.python={python}"])
    )
    assert isinstance(found, CompileStageConf)
    return found


def make(tmp_path: Path, cfg: CompileStageConf) -> dict[str, Any]:
    out = tmp_path / "out"
    out.mkdir()
    stage.run(cfg, {}, out, training.context(tmp_path))
    document: dict[str, Any] = json.loads((out / "library.json").read_text())
    assert {path.name for path in out.iterdir()} == {"library.json", document["wasm"]}
    return document


def test_commands_are_those_of_the_releases(
    python: Path, record: Path, library: Path, tmp_path: Path, monkeypatch: Environ
) -> None:
    monkeypatch.setenv("MLC_STAND_IN_LIBRARY", str(library))
    document = make(tmp_path, conf(python))
    config, compiled = recorded(record)
    kind = ["--quantization", "q4f32_1", "--model-type", "qwen2"]
    assert config[0] == "gen_config"
    assert config[2:-1] == [
        *kind,
        *("--conv-template", "chatml", "--context-window-size", "512"),
        *("--prefill-chunk-size", "256", "--max-batch-size", "1", "-o"),
    ]
    assert compiled[0] == "compile"
    assert compiled[2:-1] == [*kind, "--device", "webgpu", "--opt", "O2", "-o"]
    assert Path(config[1]).name == "config.json"
    assert Path(compiled[1]) == Path(config[-1]) / "mlc-chat-config.json"
    assert document["tools"]["mlc-llm"] == "0.20.0"
    assert document["tools"]["emscripten"] == "3.1.56"
    assert document["wasm_sha256"].startswith(library.stem.removeprefix("library-"))


def test_library_of_another_model_or_for_another_page_is_refused(
    python: Path, record: Path, library: Path, tmp_path: Path, monkeypatch: Environ
) -> None:
    del record
    monkeypatch.setenv("MLC_STAND_IN_LIBRARY", str(library))
    cfg = conf(python, "base.prefill_chunk_size=128")
    with pytest.raises(ConfigError, match="mlc_llm's library was made for prefill_chunk_size 256"):
        make(tmp_path, cfg)
    broken = tmp_path / "broken.wasm"
    broken.write_bytes(library.read_bytes().replace(b"TVMWasmAllocSpace", b"TVMWasmAllocSpacX"))
    monkeypatch.setenv("MLC_STAND_IN_LIBRARY", str(broken))
    (tmp_path / "out").rename(tmp_path / "first")
    with pytest.raises(StageFailed, match="missing export 'TVMWasmAllocSpace'"):
        make(tmp_path, conf(python))


def test_library_of_the_present_abi_is_refused_for_web_llm_0_2_79(
    old_python: Path, record: Path, library: Path, tmp_path: Path, monkeypatch: Environ
) -> None:
    del record
    monkeypatch.setenv("MLC_STAND_IN_LIBRARY", str(library))
    with pytest.raises(StageFailed, match=r"not loadable by web-llm 0\.2\.79.*'TVMFuncCall'"):
        make(tmp_path, conf(old_python, "runtime=mlc_llm_0_19"))


def test_failure_is_told_in_a_sentence_and_kept_in_a_log(
    python: Path, record: Path, tmp_path: Path, monkeypatch: Environ
) -> None:
    del record
    text = "wasm-ld: error\nUnknown attribute kind (91)"
    monkeypatch.setenv("MLC_STAND_IN_SAYS", f"compile|{text}")
    with pytest.raises(StageFailed) as caught:
        make(tmp_path, conf(python))
    assert caught.value.message == (
        "mlc_llm compile failed: emscripten reads older bitcode than TVM's LLVM writes"
    )
    assert caught.value.log_path is not None
    assert text in caught.value.log_path.read_text(encoding="utf-8")
    assert not list((tmp_path / "out").iterdir())


def test_absent_tool_or_runtime_is_one_sentence(
    python: Path, record: Path, tmp_path: Path, monkeypatch: Environ
) -> None:
    del record
    row = rows()["mlc_llm_0_20"]
    assert check_tool(str(python), row)["tvm"] == "0.27.dev0"
    assert look(str(python), row)[:1] == ("ok",)
    monkeypatch.setenv("MLC_LLM_SOURCE_DIR", str(tmp_path))
    with pytest.raises(EnvironmentMismatch, match=r"no web/dist/wasm/mlc_wasm_runtime\.bc below"):
        check_tool(str(python), row)
    bare = make_environment(tmp_path / "bare", mlc_llm=None, tvm=None)
    with pytest.raises(EnvironmentMismatch, match=r"bare/bin/python has no mlc_llm$") as caught:
        check_tool(str(bare), row)
    assert "compiler.python=FOLDER/bin/python" in (caught.value.hint or "")
    assert look(str(bare), row) == ("missing", caught.value.message, caught.value.hint)


def test_build_without_the_tool_ends_before_any_work(tmp_path: Path) -> None:
    done = run_build("compiler=mlc_llm", "name=none", cwd=tmp_path, cache=tmp_path / "cache")
    assert done.returncode == 3
    assert "has no mlc_llm" in done.stderr
    assert not list((tmp_path / "cache").rglob("artifact.json"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint."""
    folder = tmp_path_factory.mktemp("checkpoint")
    draw = np.random.default_rng(1)
    tensors: dict[str, Any] = {}
    for item in architecture(SHAPE.model_type).parameters(SHAPE):
        count = len(item.sources)
        parts = sizes(item.sources, item.shape[0]) if count > 1 else [item.shape[0]]
        for source, size in zip(item.sources, parts, strict=True):
            values = draw.normal(0, 0.05, (size, *item.shape[1:]))
            tensors[source] = values.astype(np.float32)
    save_file(tensors, folder / "model.safetensors")
    return folder


def sizes(sources: tuple[str, ...], total: int) -> list[int]:
    """Return the rows of each part of a joined parameter."""
    if len(sources) == 2:
        return [total // 2, total // 2]
    queries = SHAPE.num_attention_heads * SHAPE.head_dim
    return [queries, *[(total - queries) // 2] * 2]


@pytest.fixture
def packed(python: Path, record: Path, checkpoint: Path, tmp_path: Path) -> Callable[..., Path]:
    """Run ``convert`` on the checkpoint."""
    del record

    def run(quant: QuantConf, name: str, *, by: Path | None = python) -> Path:
        out = tmp_path / name / "files"
        out.mkdir(parents=True)
        cfg = ConvertStageConf(shape=SHAPE, quant=quant)
        if by is not None:
            cfg = replace(cfg, tools={"mlc-llm": "0"}, python=str(by))
        convert.run(cfg, {"merge": checkpoint}, out, training.context(tmp_path))
        return out

    return run


@pytest.mark.parametrize("name", FORMATS)
def test_packed_weights_are_webslms_shards(
    name: str, packed: Callable[..., Path], checkpoint: Path, record: Path
) -> None:
    out, own = packed(FORMATS[name], "mlc"), packed(FORMATS[name], "own", by=None)
    theirs, ours = ShardReader(out), ShardReader(own)
    assert theirs.names == ours.names
    for tensor in ours.names:
        assert theirs.describe(tensor) == ours.describe(tensor)
        if name == "q4f16_1":
            assert np.array_equal(theirs.read(tensor), ours.read(tensor))
    assert [path.name for path in tree_files(checkpoint)] == ["model.safetensors"]
    (words,) = recorded(record)
    assert words[0] == "convert_weight"
    assert words[2:6] == ["--quantization", name, "--model-type", "qwen2"]
    assert words[6:8] == ["--device", "cpu"]
    assert words[10:12] == ["--source-format", "huggingface-safetensor"]


def test_old_release_writes_its_index_by_another_name(
    old_python: Path, packed: Callable[..., Path]
) -> None:
    out = packed(FORMATS["q4f32_1"], "old", by=old_python)
    assert (out / model_files.TENSOR_INDEX).is_file()
    assert not (out / "ndarray-cache.json").exists()


def test_page_of_the_old_release_finds_its_index(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path)
    library = next(inputs["compile"].glob("library-*.wasm"))
    for row, name in (
        ("mlc_llm_0_19", "ndarray-cache.json"),
        ("mlc_llm_0_20", model_files.TENSOR_INDEX),
    ):
        cfg = replace(configuration(), runtime=rows()[row])
        folders = inputs["convert"], inputs["chat_config"]
        model = bundle.add_model(tmp_path / row, "m", *folders, [library], cfg)
        indexes = [path.name for path in tree_files(tmp_path / row) if "cache" in path.name]
        assert indexes == [name]
        assert name in [entry["path"] for entry in model["files"]]


def test_build_records_what_made_it_and_asks_the_tool_only_for_work(
    python: Path, record: Path, library: Path, tmp_path: Path, monkeypatch: Environ
) -> None:
    monkeypatch.setenv("MLC_STAND_IN_LIBRARY", str(library))
    words = (*BUILD, "compiler=mlc_llm", f"compiler.python={python}", "name=mlc", "evaluate=off")
    done = run_build(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    output = tmp_path / "outputs" / "mlc"
    lock = json.loads((output / "webslm.lock.json").read_text(encoding="utf-8"))
    assert schema_errors(lock) == []
    assert lock["matrix"]["tools"]["mlc-llm"] == "0.20.0"
    assert lock["matrix"]["tools"]["tvm"] == "0.27.dev0"
    assert lock["matrix"]["row"] == "mlc_llm_0_20"
    assert lock["stages"]["compile"]["config"]["runtime"]["tools"]["mlc-llm"] == "0.20.0"
    assert lock["stages"]["convert"]["config"]["tools"]["emscripten"] == "3.1.56"
    made = {step["stage"] for step in read_report(output)["steps"]}
    assert {"convert", "chat_config", "compile"} <= made
    record.unlink(missing_ok=True)
    # Nothing of it runs again: then the tool is not even asked for its runtime.
    monkeypatch.delenv("MLC_LLM_SOURCE_DIR")
    again = run_build(*words, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert not recorded(record)


@pytest.mark.slow
@pytest.mark.browser
def test_build_is_proven_in_the_browser(record: Path, tmp_path: Path, monkeypatch: Environ) -> None:
    """The stand-in makes library and weights; all after it is the product's own path."""
    del record
    monkeypatch.delenv("MLC_STAND_IN_LIBRARY", raising=False)
    python = make_environment(tmp_path / "env", tvm=None)
    words = ("compiler=mlc_llm", f"compiler.python={python}", "name=mlc", "verify.num_prompts=2")
    limits = ("verify.min_answers=0", "verify.num_tokens=8")
    done = run_build(*SMALL, *words, *limits, cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    output = tmp_path / "outputs" / "mlc"
    assert run_build("lock", "check", str(output), cwd=tmp_path).returncode == 0
    report = read_report(output)
    assert report["verify"]["greedy_agreement"]["dequantized"] == 1
    assert report["verify"]["console_errors"] == []
