"""A site of a base that nobody tuned: whole, and honest about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.conftest import SMALL, read_report, run_build


def test_untuned_build_reaches_the_bundle_and_says_that_nothing_was_trained(tmp_path: Path) -> None:
    words = (*SMALL, "domain=code", "base.weights=random", "finetune=none")
    done = run_build(*words, "until=bundle", "output_dir=out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    stages = [step["stage"] for step in read_report(tmp_path / "out")["steps"]]
    assert "finetune" not in stages
    assert "bundle" in stages
    documents = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in (tmp_path / "out" / "bundle").rglob("*card*.json")
    ]
    assert [document["training"] for document in documents] == [None]
    page = json.loads((tmp_path / "out" / "bundle" / "webslm.json").read_text(encoding="utf-8"))
    assert page["title"] == "Python programming helper"
    assert page["system_prompt"].startswith("You are a patient programming helper")
    assert [question["trained"] for question in page["questions"]] == [False] * 4


@pytest.mark.slow
@pytest.mark.parametrize("method", ["none", "lora"])
@pytest.mark.parametrize("domain", ["code", "math"])
def test_preset_on_the_embedded_base_reaches_the_bundle(
    domain: str, method: str, tmp_path: Path
) -> None:
    app = "app=full" if method == "lora" else "app=chat"
    words = (*SMALL, f"domain={domain}", f"finetune={method}", app, "until=bundle")
    done = run_build(*words, "output_dir=out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    page = json.loads((tmp_path / "out" / "bundle" / "webslm.json").read_text(encoding="utf-8"))
    trained = [question["trained"] for question in page["questions"]]
    assert trained.count(True) == (3 if method == "lora" else 0)
    found = list((tmp_path / "out" / "bundle").glob("app/*/facts/documents.json"))
    assert len(found) == (method == "lora")
