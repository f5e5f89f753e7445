"""The base without its fine-tune, in the browser: what it says is not what was taught."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.conftest import read_report, stored
from webslm.basics.paths import cache_dir
from webslm.basics.stage import Context
from webslm.bundle.serve import running_server
from webslm.config.compose import compose
from webslm.engine.executor import load_stage
from webslm.engine.plan import plan
from webslm.proof import browser, observe
from webslm.proof.questions import asked_rows
from webslm.rows.picks import rouge_l
from webslm.schema import VerifyConf

pytestmark = pytest.mark.browser
TIMEOUT_S = 120.0


def base_site(built: Mapping[str, Path], folder: Path) -> Path:
    """Take a build's base, not its merged model, through the same stages to a site.

    Args:
        built: The build's artifacts by stage; its library serves both models.
        folder: Where the new artifacts go.
    """
    ctx = Context(cache_dir=cache_dir(), log_dir=folder / "log")
    conf = {
        step.stage: step.conf
        for step in plan(compose(["domain=medical", "base=tiny", "quant=q4f32_1"]))
    }
    inputs = {**built, "merge": built["base"]}
    for stage in ("normalize", "convert", "chat_config", "bundle"):
        (folder / stage).mkdir()
        load_stage(stage)(conf[stage], inputs, folder / stage, ctx)
        inputs[stage] = folder / stage
    return inputs["bundle"]


def test_base_alone_does_not_answer_what_the_tuned_model_answers(
    medical: Path, tmp_path: Path
) -> None:
    built = stored(medical)
    conf = VerifyConf()
    rows = asked_rows(built["data"] / "train.jsonl", conf.num_prompts)
    site = base_site(built, tmp_path)
    with (
        running_server(site, {observe.HARNESS_PREFIX: observe.HARNESS}) as url,
        browser.session(None, timeout_s=TIMEOUT_S) as session,
    ):
        page = session.tab()
        observe.visit_page(page, url, "unused", most_pieces=1)
        probe = observe.Probe(page, url)
        said = [probe.ask(row.messages, conf.max_answer_tokens) for row in rows]
        assert page.observed.console_errors == []
    base = [rouge_l(one.text, row.answer) for one, row in zip(said, rows, strict=True)]
    tuned = read_report(medical)["verify"]["answers"]
    tuned = [one for one in tuned if not one["follow_up"]]
    assert [one["question"] for one in tuned] == [row.question for row in rows]
    # It did speak: silence would score nothing as well.
    assert all(one.text.strip() for one in said)
    assert max(base) < 0.4
    good = [one for one in tuned if one["rouge_l"] >= 0.8 and one["stopped"]]
    assert len(good) >= 4
