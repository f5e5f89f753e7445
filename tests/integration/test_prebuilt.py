"""``compiler=prebuilt``: a real library taken over, or refused by the field that differs."""

from __future__ import annotations

import functools
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests import training
from tests.integration.conftest import OUTPUT, TAUGHT, read_report, run_build, stored
from webslm.basics.errors import ConfigError, EnvironmentMismatch, StageFailed
from webslm.basics.keys import file_digest
from webslm.compiler.imported import differences, read_metadata
from webslm.compiler.shader_facts import FACTS, UNKNOWN
from webslm.config.checks.preflight import preflight
from webslm.config.compose import compose
from webslm.engine.table import STAGES
from webslm.schema import CompilerConf, CompileStageConf
from webslm.stages import compile as stage


def conf(*words: str, **compiler: Any) -> CompileStageConf:
    """Return the stage's configuration of the small build with a prebuilt library."""
    spec = next(spec for spec in STAGES if spec.name == "compile")
    found = spec.configure(compose([*TAUGHT, *words]))
    assert isinstance(found, CompileStageConf)
    return replace(found, compiler=replace(found.compiler, name="prebuilt", **compiler))


BUILD = (*TAUGHT, "until=bundle")


@pytest.fixture(scope="module")
def built(taught: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small build up to its site, from the session's store."""
    assert taught.is_dir()
    root = tmp_path_factory.mktemp("built")
    done = run_build(*BUILD, cwd=root)
    assert done.returncode == 0, done.stderr + done.stdout
    return root / OUTPUT


@pytest.fixture(scope="module")
def compiled(built: Path) -> Path:
    """The library that the small build compiled."""
    (found,) = stored(built)["compile"].glob("*.wasm")
    return found


def adopt(tmp_path: Path, cfg: CompileStageConf) -> dict[str, Any]:
    out = tmp_path / "out"
    out.mkdir()
    stage.run(cfg, {}, out, training.context(tmp_path))
    document: dict[str, Any] = json.loads((out / "library.json").read_text())
    assert (out / document["wasm"]).is_file()
    return document


def test_same_library_is_taken_over_unchanged(compiled: Path, tmp_path: Path) -> None:
    document = adopt(tmp_path, conf(path=str(compiled)))
    known = json.loads((compiled.parent / "library.json").read_text())
    assert document.pop("source") == compiled.name
    assert document == known
    assert document["num_shaders"] == compiled.read_bytes().count(b"@compute @workgroup_size")


def test_folder_of_the_stage_and_a_site_name_their_library(compiled: Path, tmp_path: Path) -> None:
    site = tmp_path / "site" / "lib"
    site.mkdir(parents=True)
    shutil.copy(compiled, site)
    assert adopt(tmp_path, conf(path=str(site.parent)))["wasm"] == compiled.name


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("quant=q4f16_1",), 'quantization "q4f32_1", this build wants "q4f16_1"'),
        (("base.context_window_size=256",), "context_window_size 512, this build wants 256"),
        (("base.prefill_chunk_size=128",), "prefill_chunk_size 256, this build wants 128"),
        (("base.shape.rope_theta=5000.0",), "shape.rope_theta 10000.0, this build wants 5000.0"),
        (("base.shape.num_hidden_layers=3",), "shape.num_hidden_layers 2, this build wants 3"),
        (("base.shape.model_type=llama",), 'model_type "qwen2", this build wants "llama"'),
    ],
)
def test_mismatch_is_one_sentence_that_names_the_field(
    compiled: Path, tmp_path: Path, words: tuple[str, ...], field: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        adopt(tmp_path, conf(*words, path=str(compiled)))
    assert raised.value.message == f"compiler: {compiled.name} was made for {field}"
    assert not list((tmp_path / "out").glob("library-*"))


def test_library_of_another_compiler_is_compared_by_its_tensors(compiled: Path) -> None:
    metadata = read_metadata(compiled)
    del metadata["shape"]
    del metadata["kv_cache"]
    assert list(differences(metadata, conf())) == []
    other = list(differences(metadata, conf("base.shape.intermediate_size=512")))
    assert other[0][0] == "params.model.layers.0.mlp.gate_up_proj.q_weight"
    metadata["params"].reverse()
    assert list(differences(metadata, conf())) == []
    own = read_metadata(compiled)
    own["params"].reverse()
    assert [field for field, _, _ in differences(own, conf())] == ["the order of params"]


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\0asm\x01\0\0\0"])
def test_file_that_is_no_library_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.wasm").write_bytes(content)
    with pytest.raises(StageFailed):
        adopt(tmp_path, conf(path=str(tmp_path / "x.wasm")))


def test_library_that_the_rows_web_llm_cannot_load_is_refused(
    compiled: Path, tmp_path: Path
) -> None:
    # An export that its JavaScript calls, renamed.
    broken = compiled.read_bytes().replace(b"TVMWasmAllocSpace", b"TVMWasmAllocSpacX")
    (tmp_path / "x.wasm").write_bytes(broken)
    with pytest.raises(StageFailed, match="missing export 'TVMWasmAllocSpace'"):
        adopt(tmp_path, conf(path=str(tmp_path / "x.wasm")))


def test_shader_beyond_a_limit_is_named(compiled: Path, tmp_path: Path) -> None:
    broken = compiled.read_bytes().replace(b"@workgroup_size(256, ", b"@workgroup_size(512, ", 1)
    (tmp_path / "x.wasm").write_bytes(broken)
    with pytest.raises(
        StageFailed, match=r"profile desktop: \w+: 512 x 1 x 1 threads, at most 256"
    ):
        adopt(tmp_path, conf(path=str(tmp_path / "x.wasm")))


def test_budget_counts_the_shaders_of_a_library_made_elsewhere(
    compiled: Path, tmp_path: Path
) -> None:
    with pytest.raises(StageFailed, match=r"\d\d shaders, and compiler\.max_shaders allows 9"):
        adopt(tmp_path, conf(path=str(compiled), max_shaders=9))


def test_shaders_that_cannot_be_read_are_told_as_unknown(compiled: Path, tmp_path: Path) -> None:
    # As another compiler could keep them: under another name.
    kept = (6).to_bytes(8, "little") + b"webgpu"
    other = compiled.read_bytes().replace(kept, kept.replace(b"webgpu", b"wgsl_z"))
    (tmp_path / "x.wasm").write_bytes(other)
    document = adopt(tmp_path, conf(path=str(tmp_path / "x.wasm")))
    assert [document[key] for key in FACTS] == [UNKNOWN] * 3
    assert "shaders" not in document
    (tmp_path / "out").rename(tmp_path / "first")
    told = r"the library cannot be read, and compiler\.max_shaders allows 30"
    with pytest.raises(StageFailed, match=told):
        adopt(tmp_path, conf(path=str(tmp_path / "x.wasm"), max_shaders=30))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's name
        pass


@pytest.fixture
def host(compiled: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(compiled.parent))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_fetched_library_must_be_the_pinned_one(host: str, compiled: Path, tmp_path: Path) -> None:
    url, digest = host + compiled.name, file_digest(compiled)
    assert adopt(tmp_path, conf(url=url, sha256=digest))["wasm_sha256"] == digest
    (tmp_path / "out").rename(tmp_path / "first")
    with pytest.raises(ConfigError, match="pinned is 000"):
        adopt(tmp_path, conf(url=url, sha256="0" * 64))
    (tmp_path / "out").rename(tmp_path / "second")
    with pytest.raises(EnvironmentMismatch, match="status 404"):
        adopt(tmp_path, conf(url=host + "none.wasm", sha256=digest))


@pytest.mark.parametrize(
    ("compiler", "told"),
    [
        ({"name": "prebuilt"}, "needs compiler.path or compiler.url"),
        ({"name": "prebuilt", "path": "/none"}, "holds no library"),
        ({"name": "prebuilt", "url": "https://host.invalid/a.wasm"}, "is pinned"),
        ({"name": "prebuilt", "path": "/none", "sha256": "abc"}, "is no sha256"),
        ({"path": "a.wasm"}, "only a prebuilt library has one"),
        ({"name": "gcc"}, "no compiler 'gcc'"),
    ],
)
def test_choice_that_cannot_be_is_refused_before_any_work(
    compiler: dict[str, str], told: str
) -> None:
    cfg = compose(["domain=medical"])
    cfg.compiler = replace(CompilerConf(), **compiler)  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as raised:
        preflight(cfg)
    assert any(told in message for message, _ in raised.value.problems)


def test_build_with_a_library_of_the_store_has_the_same_site(built: Path, tmp_path: Path) -> None:
    key = next(s["key"] for s in read_report(built)["steps"] if s["stage"] == "compile")
    words = (*BUILD, "compiler=prebuilt", f"compiler.path=store:compile/{key[:16]}")
    done = run_build(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    site = tmp_path / OUTPUT / "bundle"
    for name in ("manifest.json", "webslm.json"):
        assert (site / name).read_bytes() == (built / "bundle" / name).read_bytes()
