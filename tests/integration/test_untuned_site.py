"""A site of a base that nobody tuned: whole, and honest about it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.conftest import SMALL, read_report, run_build


def test_untuned_build_reaches_the_bundle_and_says_that_nothing_was_trained(tmp_path: Path) -> None:
    words = (*SMALL, "base.weights=random", "finetune=none", "until=bundle", "output_dir=out")
    done = run_build(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    stages = [step["stage"] for step in read_report(tmp_path / "out")["steps"]]
    assert "finetune" not in stages
    assert "bundle" in stages
    documents = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in (tmp_path / "out" / "bundle").rglob("*card*.json")
    ]
    assert [document["training"] for document in documents] == [None]
