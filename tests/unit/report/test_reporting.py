"""report.html: whole, escaped, self-contained, also of a failed build."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from markupsafe import Markup

from webslm.basics.errors import StageFailed
from webslm.basics.stage import Result, Status
from webslm.config.compose import compose
from webslm.engine.plan import Step, plan
from webslm.report.page import NAME, write_page
from webslm.report.pictures import Box, Dot, curve, plan_picture, scatter, ticks
from webslm.report.summary import make_report

HOSTILE = "<script>alert(1)</script>"
MATRIX = {"python": "3.11", "wheels": {"torch": "2.13.0"}, "browser": None}


def result(folder: Path, step: Step, files: dict[str, Any], **metrics: Any) -> Result:
    path = folder / step.stage
    path.mkdir()
    for name, content in files.items():
        (path / name).write_text(json.dumps(content), encoding="utf-8")
    return Result(
        stage=step.stage,
        key=step.key,
        status=Status.RAN,
        seconds=61.0,
        peak_rss_bytes=3 << 20,
        path=path,
        metrics=metrics,
    )


def write(folder: Path, error: StageFailed | None = None) -> str:
    steps = plan(compose(["until=convert"]))
    by_name = {step.stage: step for step in steps}
    log = {"loss": [[1, 4.0], [2, 2.0]], "mask_sample": [{"loss": True, "text": HOSTILE}]}
    results = [
        result(folder, by_name["data"], {}),
        result(folder, by_name["finetune"], {"train_log.json": log}),
    ]
    report = make_report(
        name="a-b",
        command=("python", "-m", "webslm", HOSTILE),
        results=results,
        error=error,
        failed_stage="convert" if error else None,
    )
    write_page(folder, report, steps, results, MATRIX)
    return (folder / NAME).read_text(encoding="utf-8")


def test_page_holds_no_script_and_asks_no_other_host(tmp_path: Path) -> None:
    page = write(tmp_path)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 2
    assert re.findall(r"(?:src|href)=\"(?!data:)", page) == []
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page


def test_page_shows_time_curve_versions_and_what_did_not_run(tmp_path: Path) -> None:
    page = write(tmp_path)
    assert "1 min 1 s" in page
    assert "3.00 MiB" in page
    assert "4.000 to 2.000" in page
    assert page.count('class="waiting"') == len(plan(compose(["until=convert"]))) - 2
    assert ">torch<" in page


def test_failed_build_says_which_stage_and_what_to_do(tmp_path: Path) -> None:
    page = write(tmp_path, StageFailed("convert: no room", hint="free some"))
    assert "Stage convert failed" in page
    assert "What to do: free some" in page
    assert 'class="failed"' in page


def test_plan_is_drawn_left_to_right_by_what_is_needed() -> None:
    boxes = [
        Box(name="a", note="", kind="ran", needs=()),
        Box(name="b", note="", kind="ran", needs=("a",)),
        Box(name="c", note="", kind="ran", needs=("b", "a")),
    ]
    tree = ET.fromstring(plan_picture(boxes))
    xs = [float(rect.attrib["x"]) for rect in tree.iter("rect")]
    assert xs == sorted(xs)
    assert len(set(xs)) == 3
    assert len(list(tree.iter("path"))) == 3


@pytest.mark.parametrize("points", [[(1.0, 2.0)], [(0.0, 0.0), (1.0, 0.0)], [(1, 2), (2, 9e9)]])
def test_curve_stays_inside_its_frame(points: list[tuple[float, float]]) -> None:
    tree = ET.fromstring(curve(points, x="x", y="<y>"))
    width, height = (float(v) for v in tree.attrib["viewBox"].split()[2:])
    line = next(tree.iter("polyline")).attrib["points"]
    for pair in line.split():
        px, py = (float(value) for value in pair.split(","))
        assert 0 <= px <= width
        assert 0 <= py <= height


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 7.61, [0, 2, 4, 6]),
        (1.0, 330.0, [100, 200, 300]),
        (0.0, 0.42, [0, 0.2, 0.4]),
        (0.0, 4.0, [0, 1, 2, 3, 4]),
        (-3.0, 3.0, [-2, 0, 2]),
    ],
)
def test_axes_are_marked_at_round_values(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected


def test_curve_of_nothing_finite_is_no_picture() -> None:
    assert curve([(1.0, float("nan"))], x="x", y="y") == Markup("")


def test_scatter_names_every_dot_and_marks_the_bad() -> None:
    dots = [Dot(x=1, y=1, label="a"), Dot(x=2, y=3, label="<b>", good=False)]
    tree = ET.fromstring(scatter(dots, x="size", y="quality"))
    assert [dot.attrib["class"] for dot in tree.iter("circle")] == ["good", "bad"]
    assert {"a", "<b>"} <= {text.text for text in tree.iter("text")}
