"""Names, measures, capacity and reports of sweeps."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from webslm.basics.errors import ConfigError, StageFailed, VerificationFailed
from webslm.basics.stage import Result, Status
from webslm.engine.look import Planned, Stores
from webslm.engine.plan import Step
from webslm.engine.store.artifacts import Cache
from webslm.report.sweep import capacity
from webslm.report.sweep.comparison import picks
from webslm.report.sweep.measures import check_metric, measure, measures
from webslm.report.sweep.naming import job_name
from webslm.report.sweep.record import (
    Record,
    failure,
    forget_records,
    read_records,
    write_record,
)
from webslm.report.sweep.report import Job, make_report, write_page
from webslm.schema import MergeStageConf

TEMPLATE = "${domain.name}-${base.name}-${quant.name}"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # as validate asks


@pytest.mark.parametrize(
    ("swept", "expected"),
    [
        ({"domain": "legal", "quant": "q0f32"}, "legal-tiny-q0f32"),
        ({"quant.name": "mine"}, "legal-tiny-q0f32"),
        ({"lora.r": "8"}, "legal-tiny-q0f32-r8"),
        ({"lora.r": "8", "seed": "1"}, "legal-tiny-q0f32-r8-seed1"),
        ({"lora.lr_scheduler": "'cosine'"}, "legal-tiny-q0f32-lr_scheduler_cosine"),
        ({"a.steps": "8", "b.steps": "9"}, "legal-tiny-q0f32-a.steps8-b.steps9"),
        ({"name": "other"}, "legal-tiny-q0f32"),
    ],
)
def test_what_is_swept_and_not_in_the_name_becomes_a_suffix(
    swept: dict[str, str], expected: str
) -> None:
    assert job_name("legal-tiny-q0f32", TEMPLATE, swept) == expected


def test_a_fixed_name_gets_every_swept_key() -> None:
    assert job_name("mine", "mine", {"domain": "legal", "lora.r": "8"}) == "mine-domain_legal-r8"


def test_values_that_no_name_can_hold_stay_distinct_and_valid() -> None:
    values = ["a/b.jsonl", "a_b.jsonl", "a b.jsonl", "[q_proj,v_proj]", "[q_proj]", "x" * 300]
    names = [job_name("mine", "mine", {"data.path": value}) for value in values]
    assert len(set(names)) == len(values)
    assert all(NAME.fullmatch(name) for name in names), names


def result(stage: str, metrics: dict[str, Any], status: Status = Status.RAN) -> Result:
    return Result(
        stage=stage,
        key="0" * 64,
        status=status,
        seconds=1.0,
        peak_rss_bytes=1,
        path=Path(),
        metrics=metrics,
    )


def test_measures_are_flat_and_lists_are_means() -> None:
    answers = [{"rouge_l": 1.0, "stopped": True, "answer": "x"}, {"rouge_l": 0.5, "stopped": False}]
    found = measures([result("verify", {"answers": answers, "loaded": True, "adapter": "soft"})])
    assert found == {
        "verify.answers.rouge_l": 0.75,
        "verify.answers.stopped": 0.5,
        "verify.loaded": 1.0,
        "verify.rouge_l": 0.75,
    }
    with pytest.raises(ConfigError, match=r"measured no 'verify\.rouge'") as raised:
        measure([result("verify", {"answers": answers})], "verify.rouge")
    assert "verify.rouge_l" in str(raised.value.hint)


@pytest.mark.parametrize(
    ("metric", "until"), [("rouge_l", None), ("verify", None), ("verify.rouge_l", "merge")]
)
def test_metric_that_no_build_reaches_is_refused(metric: str, until: str | None) -> None:
    with pytest.raises(ConfigError, match="does not begin with a stage that is built"):
        check_metric(metric, until)
    check_metric("finetune.last_loss", "merge")


def planned(cache: Cache, stage: str, keys: Sequence[str]) -> list[list[Planned]]:
    """Return a plan of one step for each key, as the store holds it."""
    conf = MergeStageConf(dtype="x")
    steps = [Step(stage=stage, key=key, conf=conf, needs=(), files={}, wheels={}) for key in keys]
    return [[each] for each in Stores(local=cache).look(steps)]


def store(cache: Cache, stage: str, key: str, peak: int) -> None:
    cache.commit(
        _filled(cache.work_dir(stage)),
        stage=stage,
        key=key,
        metrics={},
        seconds=1.0,
        peak_rss_bytes=peak,
    )


def _filled(work: Path) -> Path:
    (work / "files").mkdir()
    (work / "files" / "x").write_text("x")
    return work


def test_job_count_knows_cores_and_what_steps_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path)
    store(cache, "merge", "a" * 64, 3 << 30)
    store(cache, "merge", "b" * 64, 1 << 30)
    monkeypatch.setattr(capacity, "num_cores", lambda: 16)
    monkeypatch.setattr(capacity, "available_memory", lambda: 20 << 30)
    nine = [f"{number}" * 64 for number in range(9)]
    plans = planned(cache, "merge", nine)
    found = capacity.capacity(plans, cache)
    assert (found.jobs, found.job_bytes) == (5, 3 << 30)  # 0.8 * 20 / 3, the largest ever seen
    unknown = planned(cache, "convert", nine)
    assert capacity.capacity(unknown, cache).jobs == 8  # 16 cores at 2
    assert capacity.capacity(unknown[:2], cache).jobs == 2
    hits = planned(cache, "merge", ["a" * 64] * 4)
    assert capacity.capacity(hits, cache).jobs == 4
    monkeypatch.setattr(capacity, "available_memory", lambda: 1 << 20)
    assert capacity.capacity(plans, cache).jobs == 1


def record(number: int, size: int, rouge: float, speed: float, **changes: Any) -> Record:
    values: dict[str, Any] = {
        "number": number,
        "name": f"job{number}",
        "swept": {"lora.r": str(number)},
        "output_dir": "x",
        "ok": True,
        "seconds": 1.0,
        "stages": [{"stage": "data", "key": "k", "status": "hit", "seconds": 1.0}],
        "measures": {
            "convert.bytes": size,
            "verify.rouge_l": rouge,
            "verify.decode_tok_s": speed,
        },
    }
    return Record(**{**values, **changes})


RECORDS = [
    record(0, 3 << 20, 1.0, 10.0),
    record(1, 1 << 20, 0.9, 30.0),
    record(2, 2 << 20, 1.0, 20.0),
    record(3, 0, 2.0, 99.0, ok=False, **failure(VerificationFailed("said <b>no</b>"), "verify")),
]


def test_picks_are_of_finished_jobs_and_break_ties_by_size() -> None:
    found = {pick["by"]: pick["name"] for pick in picks(RECORDS, None)}
    assert found == {
        "weights": "job1",
        "ROUGE-L of trained answers": "job2",
        "speed in the proof": "job1",
    }


def test_report_and_page_tell_failures_and_what_did_not_run(tmp_path: Path) -> None:
    jobs = [Job(name=f"job{number}", planned=[]) for number in range(5)]
    report = make_report(["webslm", "-m"], RECORDS, jobs, None)
    assert (report["ok"], report["failed"], report["not_run"]) == (False, ["job3"], ["job4"])
    assert (report["exit_code"], report["executed"], report["steps"]) == (5, 0, 4)
    write_page(tmp_path, report, RECORDS, None)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "said &lt;b&gt;no&lt;/b&gt;" in page
    assert page.count("<svg") == 3
    assert "job4" in page
    assert "<script" not in page


def test_a_report_without_a_single_job_is_still_a_page(tmp_path: Path) -> None:
    report = make_report(["webslm"], [], [Job(name="lost", planned=[])], None)
    assert not report["ok"]
    write_page(tmp_path, report, [], None)
    assert "lost" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_records_are_read_in_order_and_forgotten(tmp_path: Path) -> None:
    for each in (RECORDS[3], RECORDS[0]):
        write_record(tmp_path / str(each.number), each)
    found = read_records(tmp_path)
    assert [each.number for each in found] == [0, 3]
    assert found[1].error == {
        "kind": "VerificationFailed",
        "stage": "verify",
        "problems": [["said <b>no</b>", None]],
    }
    assert json.loads((tmp_path / "0" / "job.json").read_text())["name"] == "job0"
    forget_records(tmp_path)
    assert read_records(tmp_path) == []


def test_every_problem_of_an_error_is_recorded() -> None:
    two = ConfigError(problems=(("a", "b"), ("c", None)))
    assert failure(two, None)["error"]["problems"] == [["a", "b"], ["c", None]]
    assert failure(StageFailed("x"), "merge")["exit_code"] == 4
    assert failure(KeyError("x"), None)["exit_code"] == 1
