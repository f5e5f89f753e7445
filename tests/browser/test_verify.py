"""The proof in a real browser: it holds for a faithful bundle and fails for any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.browser.chain import TIMEOUT_S, make_library, make_site, run_verify, verify_conf
from webslm.basics.errors import VerificationFailed
from webslm.bundle.serve import running_server
from webslm.compiler import library
from webslm.compiler.passes import pipeline
from webslm.compiler.wasm import objects
from webslm.proof import browser, observe
from webslm.proof.graphics.driver import find_driver

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SOFTWARE = "lavapipe (Mesa " if find_driver() else "google swiftshader"


def test_second_visit_downloads_no_weights(root: Path) -> None:
    site = make_site(root, root / "twice", max_tokens=8)
    with running_server(site) as address, browser.session(None, timeout_s=TIMEOUT_S) as session:
        seen = []
        for _ in range(2):
            page = session.tab()
            observe.visit_page(page, address, "unused")
            page.close()
            seen.append([url for url in page.observed.requests if "params_shard" in url])
        assert len(seen[0]) == 1
        assert seen[1] == []


def test_a_fault_inside_the_library_is_readable(root: Path, tmp_path: Path) -> None:
    chat = tmp_path / "chat_config"
    chat.mkdir()
    for path in (root / "chat_config").iterdir():
        (chat / path.name).write_bytes(path.read_bytes())
    config = json.loads((chat / "mlc-chat-config.json").read_text())
    config["vocab_size"] *= 2
    (chat / "mlc-chat-config.json").write_text(json.dumps(config))
    site = make_site(root, tmp_path / "site", max_tokens=8, chat_config=chat)
    with running_server(site) as address, browser.session(None, timeout_s=TIMEOUT_S) as session:
        page = session.tab()
        with pytest.raises(VerificationFailed, match="It said: ValueError: Check failed"):
            observe.visit_page(page, address, "unused")
        assert page.text("#problem-title") == "The model stopped with an internal error"
        assert page.text("#status") == "Stopped"
        page.click("#problem summary")
        assert "RuntimeError: unreachable" in page.text("#problem-details")


def test_verify_finds_the_browser_and_torch_agreed(root: Path, tmp_path: Path) -> None:
    metrics = run_verify(root, tmp_path / "out", verify_conf())
    assert metrics["greedy_agreement"]["dequantized"] == 1.0
    assert metrics["forced_top1_agreement"]["dequantized"] == 1.0
    assert metrics["max_logit_difference"]["dequantized"] < 0.01
    assert metrics["load_s"] > 0
    assert metrics["first_piece_s"] > 0
    assert metrics["dispatches_per_token"] > 0
    assert metrics["submits_per_token"] > 0
    assert str(metrics["adapter"]).startswith(f"software GPU: {SOFTWARE}")
    assert json.loads((tmp_path / "out" / "verify.json").read_text()) == metrics
    assert (tmp_path / "out" / "page.png").read_bytes().startswith(b"\x89PNG")


LOAD_AND_FORCE = """async () => {
    const compiled = { createComputePipelineAsync: [], createComputePipeline: [] };
    for (const name of Object.keys(compiled)) {
        const original = GPUDevice.prototype[name];
        GPUDevice.prototype[name] = function counted(descriptor) {
            compiled[name].push(descriptor.compute.entryPoint);
            return original.call(this, descriptor);
        };
    }
    await import("./harness.js");
    const { atOnce } = await webslm.load();
    const early = Object.values(compiled).flat().sort();
    const follow = (prompt, continuation) => webslm.follow({ prompt, continuation, keep: 3 });
    const first = await follow([5, 6, 7, 8], [9, 10, 11, 12]);
    await follow([5, 6, 20], [21, 22]);
    return { atOnce, early, late: compiled.createComputePipeline, first,
             again: await follow([5, 6, 7, 8], [9, 10, 11, 12]) };
}"""


def test_page_compiles_no_shader_that_it_does_not_run(root: Path) -> None:
    """Kernels of forced positions are compiled when they are called; a second call finds them."""
    site = make_site(root, root / "shaders", max_tokens=8)
    document = json.loads((root / "compile" / "library.json").read_text())
    with (
        running_server(site, {observe.HARNESS_PREFIX: observe.HARNESS}) as address,
        browser.session(None, timeout_s=TIMEOUT_S) as session,
    ):
        page = session.tab()
        page.open(f"{address.rstrip('/')}{observe.HARNESS_PREFIX}blank.html")
        seen = page.call(LOAD_AND_FORCE, None, "loading and forcing")
    assert seen["atOnce"]
    # web-llm makes its cache, which calls this one, before it compiles the module.
    zeros, head = seen["late"]
    assert zeros == "zeros_kernel"
    never = {"kv_compact_kernel", "kv_copy_page_kernel", "kv_debug_kernel"}
    assert seen["early"] == sorted([zeros, *(set(document["shaders"]) - never - {head})])
    # What lay in the cache between the two was taken off again; other chunks round differently.
    for before, after in zip(seen["first"], seen["again"], strict=True):
        assert [token for token, _ in before] == [token for token, _ in after]
        assert [value for _, value in before] == pytest.approx(
            [value for _, value in after], abs=1e-4
        )


def test_library_that_looks_at_one_position_at_a_time_is_proven_too(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (library, pipeline, objects):
        monkeypatch.setattr(module, "ALL_LOGITS", "never_looked_for")
    made = make_library(tmp_path / "compile")
    site = make_site(root, tmp_path / "site", max_tokens=8, compile=made)
    metrics = run_verify(root, tmp_path / "out", verify_conf(), bundle=site)
    assert metrics["compared"]["greedy_prompts"] == len(metrics["answers"]) == 3
    assert metrics["forced_top1_agreement"]["dequantized"] == 1.0
    assert metrics["max_logit_difference"]["dequantized"] < 0.01


def test_verify_refuses_and_keeps_the_numbers(root: Path, tmp_path: Path) -> None:
    cfg = verify_conf(min_answers=1, num_prompts=1)
    with pytest.raises(VerificationFailed, match="expected 1 of 1 answers to stop") as caught:
        run_verify(root, tmp_path / "out", cfg)
    assert list((tmp_path / "out").iterdir()) == []
    report = json.loads((tmp_path / "log" / "verify.json").read_text())
    assert report["greedy_agreement"]["dequantized"] == 1.0
    assert caught.value.log_path == tmp_path / "log" / "verify.json"


def test_verify_sees_wrong_weights(root: Path, tmp_path: Path) -> None:
    """The shards that torch reads are not those in the bundle: the proof must fail."""
    wrong = tmp_path / "convert"
    wrong.mkdir()
    for path in (root / "convert").iterdir():
        (wrong / path.name).write_bytes(path.read_bytes())
    index = json.loads((wrong / "tensor-cache.json").read_text())
    shard = wrong / index["records"][0]["dataPath"]
    content = bytearray(shard.read_bytes())
    for record in index["records"][0]["records"]:
        if record["name"].endswith("q_weight"):
            start, end = record["byteOffset"], record["byteOffset"] + record["nbytes"]
            content[start:end] = bytes(byte ^ 0x33 for byte in content[start:end])
    shard.write_bytes(bytes(content))
    with pytest.raises(VerificationFailed, match=r"verify\.greedy_agreement"):
        run_verify(root, tmp_path / "out", verify_conf(num_prompts=1), convert=wrong)
