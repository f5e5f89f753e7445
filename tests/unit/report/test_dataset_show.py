"""What the dataset doctor prints, and what the report's section on rows is made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.conftest import chat_row
from webslm.basics.screen import Screen
from webslm.basics.stage import Result, Status
from webslm.cli.dataset_doctor import asked, overrides
from webslm.cli.main import run
from webslm.report.page import render
from webslm.report.pictures import bars
from webslm.report.rows import facts
from webslm.report.summary import LiveDisplay
from webslm.report.terminal import LEARNT, marked, show_rows, show_tokens
from webslm.rows.changes import Changes
from webslm.rows.dataset import Row
from webslm.rows.examination import examine
from webslm.rows.source import Split
from webslm.schema import DataConf

HOSTILE = "<script>[bold]alert(1)[/bold]</script>"
LENGTHS: dict[str, Any] = {
    "rows": 3,
    "inspected": 3,
    "tokens": 60,
    "longest": 40,
    "trained_share": 0.5,
    "loss": "assistant_only",
    "max_length": 30,
    "context_window_size": 64,
    "too_long": {"count": 1, "lines": [3]},
    "answer_by_answer": 0,
    "histogram": [[0, 19, 2], [20, 40, 1]],
    "plan": {"steps": 6, "steps_per_epoch": 2, "epochs": 3.0, "rows_per_step": 2, "copies": 0},
    "samples": [
        {
            "line": 1,
            "tokens": 9,
            "pieces": [{"loss": False, "text": "Q"}, {"loss": True, "text": HOSTILE}],
        }
    ],
}


def stats(answer: str = "So it is. Ask a nurse") -> dict[str, Any]:
    rows = [Row(1, tuple(chat_row("Why?", answer)["messages"]))]  # type: ignore[arg-type]
    return examine(
        Split(train=rows, held_out=[], changes=Changes()), DataConf(path="x", closing="nurse")
    )


def printed(show: Any, *values: Any) -> str:
    console = Screen(width=60, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    with console.file:
        show(console, *values)
        return console.export_text()


def test_terminal_shows_sets_findings_and_what_to_type() -> None:
    told = printed(show_rows, stats(HOSTILE))
    assert "with the signature 'closing'" in told
    assert "look at  1 answers lack the signature 'closing'" in told
    assert HOSTILE in told
    assert "records: 0 read = 1 learnt + 0 held out" in told
    assert "type: data.held_out_path=FILE" in told


def test_build_tells_the_account_of_rows_and_what_it_did_not_use(tmp_path: Path) -> None:
    changes = Changes(read=3)
    changes.unread["zebra"] = 1
    changes.leave_out("a mistake in the row", "x:2: not JSON")
    rows = [Row(n, tuple(chat_row(f"{n}?", "So.")["messages"])) for n in (1, 3)]  # type: ignore[arg-type]
    metrics = examine(Split(train=rows, held_out=[], changes=changes), DataConf(path="x"))
    console = Screen(width=40, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    with console.file:
        LiveDisplay(console).finished(
            Result(
                stage="data",
                key="0" * 64,
                status=Status.HIT,
                seconds=0.0,
                peak_rss_bytes=0,
                path=tmp_path,
                metrics=metrics,
            )
        )
        told = console.export_text().splitlines()
    assert told[1:] == [
        "    records: 3 read = 2 learnt + 0 held out + 1 left out",
        "    1 row left out: a mistake in the row",
        "    keys not read: zebra x 1",
    ]


def test_terminal_shows_lengths_limits_steps_and_the_mask() -> None:
    told = printed(show_tokens, LENGTHS)
    assert "6 optimiser steps: 3 epochs of 2 steps of 2 rows; 50% of the tokens" in told
    assert "1 rows are longer than lora.max_length=30" in told
    assert "type: lora.max_length=40 or shorten them" in told
    assert HOSTILE in told


def test_only_what_carries_loss_is_coloured() -> None:
    pieces = LENGTHS["samples"][0]["pieces"]
    text = marked(pieces, plain=False)
    assert marked(pieces, plain=True).plain == f"Q[[{HOSTILE}]]"
    assert [(text.plain[s.start : s.end], s.style) for s in text.spans] == [(HOSTILE, LEARNT)]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["data=my.jsonl", "base=tiny"], ["data.path=my.jsonl", "base=tiny"]),
        (["data"], []),
        (["data.path=x", "domain=legal"], ["data.path=x", "domain=legal"]),
    ],
)
def test_words_about_a_dataset_are_told_from_those_about_a_machine(
    words: list[str], wanted: list[str]
) -> None:
    assert asked(words)
    assert overrides(words) == wanted
    assert not asked(["base=tiny"])


def test_doctor_of_a_dataset_says_every_mistake_with_its_line_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my.jsonl"
    path.write_text('{"messages": []}\n{"text": 1}\n', encoding="utf-8")
    assert run(["doctor", f"data={path}"]) == 2
    told = capsys.readouterr().err
    assert "my.jsonl:1:" in told
    assert "my.jsonl:2:" in told
    assert told.count("hint:") == 2


def test_doctor_of_a_dataset_without_the_base_says_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBSLM_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "my.json"
    rows = [{"conversations": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "a."}]}]
    path.write_text(json.dumps(rows), encoding="utf-8")
    assert run(["doctor", f"data={path}", "data.signatures={a: a}"]) == 0
    told = capsys.readouterr().out
    assert "read as: sharegpt x 1" in told
    assert "with the signature 'a'" in told
    assert "only=base" in told
    assert run(["doctor", f"data={path}", "data.refuse=[no_held_out]"]) == 2


def test_section_of_the_report_is_escaped_and_whole() -> None:
    page = render("parts/rows.html.j2", facts(stats(HOSTILE), LENGTHS))
    assert "<script>" not in page
    assert "<b>&lt;script&gt;" in page
    assert "6 optimiser steps of 2 rows" in page
    assert "the longest row has 40" in page
    assert "lack the signature" in page


def test_section_is_left_out_for_rows_of_an_older_build() -> None:
    assert render("parts/rows.html.j2", facts({"system_prompt": None}, {})).strip() == ""


def test_bars_stand_on_the_axis_inside_the_frame() -> None:
    tree = ET.fromstring(bars([("10", 3), ("20", 0), ("<30", 6)], x="x", y="y"))
    heights = [float(rect.attrib["height"]) for rect in tree.iter("rect")]
    assert heights[1] == 0
    assert heights[2] == pytest.approx(2 * heights[0], abs=0.2)
    assert "<30" in {text.text for text in tree.iter("text")}
