"""The column ``adapter`` of the survival report is what was learnt last."""

from __future__ import annotations

from pathlib import Path

import pytest

from webslm.config.compose import compose
from webslm.engine.plan import plan
from webslm.stages.merge import tuned


def test_report_reads_the_adapter_that_dpo_made(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')
    words = ["evaluate=on", "until=evaluate"]
    needs = {step.stage: step.needs for step in plan(compose(words))}
    assert "align" not in needs["evaluate"]
    aligned = plan(compose([*words, "align=dpo", f"dpo.path={pairs}"]))
    assert "align" in {step.stage: step.needs for step in aligned}["evaluate"]


@pytest.mark.parametrize(
    ("stages", "learnt"),
    [(("finetune", "align"), "align"), (("finetune",), "finetune"), ((), None)],
)
def test_what_was_learnt_last_is_what_merge_and_report_take(
    stages: tuple[str, ...], learnt: str | None
) -> None:
    folders = {stage: Path(stage) for stage in (*stages, "base")}
    assert tuned(folders) == (None if learnt is None else Path(learnt))
