"""The bundle stage: whole, closed to other hosts, the same bytes every time."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.site_inputs import (
    DISCLAIMER,
    EMPTY_WASM,
    LIBRARY,
    configuration,
    context,
    write_half,
    write_inputs,
)
from webslm.basics import paths
from webslm.basics.errors import ConfigError, EnvironmentMismatch, StageFailed
from webslm.basics.fs import copy_tree, tree_files
from webslm.basics.stage import Metrics
from webslm.bundle import page_facts, serve
from webslm.bundle.records import app_config
from webslm.schema import BundleStageConf, Mode, RuntimeConf
from webslm.stages import bundle


def build(
    folder: Path, cfg: BundleStageConf | None = None, *, shard: bytes = b"\0" * 64
) -> tuple[Path, Metrics]:
    out = folder / "bundle"
    metrics = bundle.run(
        cfg or configuration(), write_inputs(folder, shard=shard), out, context(folder)
    )
    return out, metrics


def site(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "webslm.json").read_text(encoding="utf-8"))
    return found


def facts(out: Path) -> Path:
    return next(out.glob("app/*/facts"))


def test_manifest_names_every_other_file_with_its_digest(tmp_path: Path) -> None:
    out, metrics = build(tmp_path)
    files = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["files"]
    on_disk = {path.relative_to(out).as_posix(): path for path in tree_files(out)}
    assert set(files) == set(on_disk) - {"manifest.json"}
    assert list(files) == sorted(files)
    assert metrics["files"] == len(files)
    for name, entry in files.items():
        content = on_disk[name].read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["bytes"] == len(content)


def test_bundle_can_be_served(tmp_path: Path) -> None:
    out, _ = build(tmp_path)
    serve.check_bundle(out)
    model = site(out)["model"]
    assert (out / model["lib"]).name == LIBRARY
    assert re.fullmatch(r"models/example/resolve/[0-9a-f]{16}/", model["url"])
    for entry in model["files"]:
        assert (out / model["url"] / entry["path"]).stat().st_size == entry["bytes"]
    assert (out / model["url"] / "mlc-chat-config.json").is_file()
    licence = next(out.glob("app/*/vendor/web-llm.LICENSE.txt")).read_text()
    assert licence.lstrip().startswith("Apache")


def test_fixed_names_point_at_the_build(tmp_path: Path) -> None:
    out, _ = build(tmp_path)
    pointer = (out / "webslm.js").read_text(encoding="utf-8")
    app = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["app"]
    assert pointer == f'export * from "./{app}webslm.js";\n'
    assert (out / app / "webslm.js").is_file()


def test_record_for_web_llm_is_whole(tmp_path: Path) -> None:
    out, _ = build(tmp_path / "a")
    model = site(out)["model"]
    [record] = json.loads((out / "model-record.json").read_text(encoding="utf-8"))["model_list"]
    assert (out / record["model"]).is_dir()
    assert (out / record["model_lib"]).is_file()
    assert record["model_id"] == model["id"] == "example"
    assert record["vram_required_MB"] == pytest.approx(7_000_000 / 2**20, abs=0.01)
    assert record["integrity"] == {**model["integrity"], "onFailure": "error"}
    cfg = configuration()
    for url in ("https://example.org/a", "https://example.org/a/"):
        host = replace(cfg.host, url=url)
        records = app_config([model], host.url)["model_list"]
        assert records[0]["model"] == f"https://example.org/a/{model['url']}"
        assert records[0]["model_lib"] == f"https://example.org/a/{model['lib']}"
    host = replace(cfg.host, url="https://example.org/a/")
    known, _ = build(tmp_path / "b", replace(cfg, host=host))
    text = (known / "model-record.json").read_text(encoding="utf-8")
    assert json.loads(text)["model_list"] == records


def test_two_builds_have_the_same_bytes(tmp_path: Path) -> None:
    first, _ = build(tmp_path / "a")
    second, _ = build(tmp_path / "b")
    assert (first / "manifest.json").read_bytes() == (second / "manifest.json").read_bytes()


def test_other_weights_get_another_url_so_that_no_cache_is_stale(tmp_path: Path) -> None:
    first, _ = build(tmp_path / "a")
    second, _ = build(tmp_path / "b", shard=b"\1" * 64)
    assert site(first)["model"]["url"] != site(second)["model"]["url"]


def test_page_repeats_policy_title_and_disclaimer_as_text(tmp_path: Path) -> None:
    out, _ = build(tmp_path)
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "<title>Example &lt;assistant&gt;</title>" in page
    assert "Can be wrong &amp; is not advice; see &quot;About&quot;." in page
    assert "script-src &#x27;self&#x27; &#x27;wasm-unsafe-eval&#x27;" in page
    assert "%%" not in page
    assert site(out)["disclaimer"] == DISCLAIMER


def test_page_has_no_inline_script_or_style_and_no_absolute_path(tmp_path: Path) -> None:
    out, _ = build(tmp_path)
    page = (out / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert "<style" not in page
    assert " style=" not in page
    assert " on" not in " ".join(re.findall(r"<[a-z][^>]*>", page)).replace(" only", "")
    assert re.findall(r"(?:src|href)=\"/", page) == []


def test_questions_are_marked_by_the_rows_that_were_trained(tmp_path: Path) -> None:
    out, _ = build(tmp_path)
    assert site(out)["questions"] == [
        {"text": "What is it?", "trained": True},
        {"text": "<i>Why?</i>", "trained": False},
    ]


def test_default_page_is_light(tmp_path: Path) -> None:
    out, metrics = build(tmp_path)
    assert site(out)["modes"] == ["chat"]
    assert site(out)["base"] is None
    assert metrics["base_bytes"] == 0
    assert {path.name for path in facts(out).iterdir()} == {"card.json", "golden.json"}
    assert [path.name for path in (out / "models").iterdir()] == ["example"]


def test_modes_bring_the_base_questions_and_documents(tmp_path: Path) -> None:
    cfg = configuration()
    app = replace(cfg.app, modes=[Mode.chat, Mode.proof, Mode.product])
    domain = replace(cfg.domain, knowledge_path="shipped:medical/knowledge.json")
    inputs = write_inputs(tmp_path)
    inputs["convert_base"] = write_inputs(tmp_path / "base", shard=b"\2" * 64)["convert"]
    out = tmp_path / "bundle"
    bundle.run(replace(cfg, app=app, domain=domain), inputs, out, context(tmp_path))
    page = site(out)
    assert page["base"]["id"] == "example-base"
    assert page["base"]["lib"] == page["model"]["lib"]
    assert page["base"]["url"] != page["model"]["url"]
    shard = out / page["base"]["url"] / "params_shard_0.bin"
    assert shard.read_bytes() == b"\2" * 64
    questions = json.loads((facts(out) / "comparison.json").read_text(encoding="utf-8"))
    assert questions == [{"text": "what is it", "reference": "An example.", "trained": True}]
    assert len(json.loads((facts(out) / "documents.json").read_text(encoding="utf-8"))) == 12


@pytest.mark.parametrize("text", ["{}", "[1]", '[{"id": "a", "title": "b"}]', '[{"id": 1}]'])
def test_documents_that_are_not_whole_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "documents.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="document 1 is not whole"):
        page_facts.documents(tmp_path / "documents.json")


def test_half_precision_needs_its_feature(tmp_path: Path) -> None:
    out, _ = build(tmp_path, configuration(dtype="float16"))
    assert site(out)["model"]["required_features"] == ["shader-f16"]


def test_two_libraries_lie_over_one_set_of_weights(tmp_path: Path) -> None:
    alone, _ = build(tmp_path / "alone")
    inputs = write_inputs(tmp_path)
    inputs["compile_f16"] = write_half(tmp_path / "compile_f16")
    out = tmp_path / "bundle"
    metrics = bundle.run(configuration(), inputs, out, context(tmp_path))
    model, single = site(out)["model"], site(alone)["model"]
    half, plain = model.pop("libs")
    assert model == single
    assert plain == {key: single[key] for key in plain}
    assert (half["arithmetic"], plain["arithmetic"]) == ("f16", "f32")
    assert half["required_features"] == ["shader-f16"]
    assert half["memory"]["total_bytes"] == 5_000_000
    assert (out / half["lib"]).read_bytes() == EMPTY_WASM * 2
    assert metrics["f16_library_bytes"] == half["library"]["bytes"] == len(EMPTY_WASM) * 2
    both = json.loads((out / "model-record.json").read_text(encoding="utf-8"))["model_list"]
    assert [record["model_id"] for record in both] == ["example", "example-f16"]
    assert both[0]["model"] == both[1]["model"]
    assert both[1]["required_features"] == ["shader-f16"]
    assert both[1]["integrity"]["model_lib"] == half["integrity"]["model_lib"]


@pytest.mark.parametrize("name", ["a/b", "..", "a b", "", "ä", "a?b"])
def test_name_that_cannot_be_a_url_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot stand in a web address"):
        build(tmp_path, configuration(name=name))


@pytest.mark.parametrize(
    "missing", ["data/stats.json", "convert/params_shard_0.bin", "chat_config/tokenizer.json"]
)
def test_incomplete_input_is_named(tmp_path: Path, missing: str) -> None:
    inputs = write_inputs(tmp_path)
    (tmp_path / missing).unlink()
    folder, name = missing.split("/")
    with pytest.raises(StageFailed, match=f"{folder} has no {name}"):
        bundle.run(configuration(), inputs, tmp_path / "bundle", context(tmp_path))


def test_two_libraries_are_refused(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path)
    (inputs["compile"] / "library-ffff.wasm").write_bytes(b"")
    with pytest.raises(StageFailed, match="2 libraries"):
        bundle.run(configuration(), inputs, tmp_path / "bundle", context(tmp_path))


@pytest.mark.parametrize(
    "line",
    [
        'fetch("https://example.org/a");',
        'import "//cdn.example.org/a.js";',
        "new WebSocket('wss://example.org');",
    ],
)
def test_page_that_names_another_host_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    copy_tree(paths.site_dir(), tmp_path / "site")
    (tmp_path / "site" / "extra.js").write_text(f"{line}\n", encoding="utf-8")
    monkeypatch.setattr(paths, "site_dir", lambda: tmp_path / "site")
    with pytest.raises(StageFailed, match=r"another host .*extra\.js"):
        build(tmp_path / "build")


def test_wrong_web_llm_pin_is_refused(tmp_path: Path) -> None:
    cfg = configuration()
    row = RuntimeConf(name="row", web_llm=cfg.runtime.web_llm, web_llm_integrity="sha512-AAAA")
    wrong = replace(cfg, runtime=row)
    with pytest.raises(EnvironmentMismatch, match="not the pinned one"):
        build(tmp_path, wrong)
