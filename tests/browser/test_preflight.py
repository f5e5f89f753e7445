"""The device check: the right verdict for devices of every kind, before any download."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.faults import faulty_server
from tests.site_inputs import configuration, context, write_half, write_inputs
from webslm.proof import browser
from webslm.proof.browser import Session, Tab
from webslm.schema import Graphics
from webslm.stages import bundle

pytestmark = pytest.mark.browser
IDLE = "html[data-state=idle]"
LIMITS = {
    "maxBufferSize": 2**30,
    "maxStorageBufferBindingSize": 2**30,
    "maxStorageBuffersPerShaderStage": 10,
    "maxComputeInvocationsPerWorkgroup": 256,
    "maxComputeWorkgroupStorageSize": 32768,
}
DEVICE: dict[str, Any] = {
    "secure": True,
    "lacking": [],
    "webgpu": True,
    "graphics": {
        "found": True,
        "features": ["shader-f16", "subgroups"],
        "limits": LIMITS,
        "name": "a chip",
        "software": False,
    },
    "memory_gb": 8,
    "phone": False,
    "storage": {"quota": 5e9, "usage": 1e9, "kept_for_good": False},
    "connection": {"online": True, "type": "wifi", "save_data": False},
    "isolated": True,
    "offline_ready": True,
    "agent": "Example/1",
}
MODEL: dict[str, Any] = {
    "id": "example",
    "lib": "lib/library-0.wasm",
    "bytes": 3e8,
    "required_features": ["shader-f16"],
    "memory": {"total_bytes": 6e8, "largest_buffer_bytes": 1.4e8},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    inputs = write_inputs(folder, shard=random.Random(0).randbytes(11 << 20))
    bundle.run(configuration(), inputs, folder / "bundle", context(folder))
    return folder / "bundle"


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    # Nothing is computed here, and this adapter is the same on every machine.
    with browser.session(None, timeout_s=30, graphics=Graphics.swiftshader) as found:
        yield found


@pytest.fixture(scope="module")
def tab(session: Session, site: Path) -> Iterator[Tab]:
    with faulty_server(site) as (url, _):
        page = session.tab()
        page.open(url)
        page.wait_for(IDLE, "the page did not start")
        yield page


def pick(
    tab: Tab, libs: list[dict[str, Any]], features: list[str], asked: str | None = None
) -> dict[str, Any]:
    """Return what the page takes of a model with several libraries."""
    found: dict[str, Any] = tab.call(
        """async ({ model, features, asked }) => {
            const { pickLibrary } = await import("./config.js");
            return pickLibrary(model, features, asked);
        }""",
        {"model": {"id": "example", "libs": libs}, "features": features, "asked": asked},
        "choosing",
    )
    return found


def judge(
    tab: Tab, changes: dict[str, Any], model: dict[str, Any] = MODEL, **facts: Any
) -> dict[str, Any]:
    """Return the verdict on the example device with some of its facts replaced."""
    device = {**DEVICE, **changes}
    device["graphics"] = {**DEVICE["graphics"], **changes.get("graphics", {})}
    found: dict[str, Any] = tab.call(
        """async ({ device, model, facts }) => {
            const { deviceReport, judge } = await import("./judge.js");
            const verdict = judge(device, model, facts);
            return { ...verdict, report: deviceReport(device, model, verdict) };
        }""",
        {"device": device, "model": model, "facts": {"missing": 3e8, **facts}},
        "judging",
    )
    return found


def test_a_good_device_is_told_so(tab: Tab) -> None:
    verdict = judge(tab, {})
    assert verdict["level"] == "good"
    assert verdict["title"] == "This device can run the model"
    assert [check["level"] for check in verdict["checks"]] == ["good"] * 5


@pytest.mark.parametrize(
    ("changes", "facts", "level", "said"),
    [
        ({"secure": False}, {}, "stop", "over https"),
        ({"lacking": ["caches"]}, {}, "stop", "It lacks caches"),
        ({"webgpu": False, "graphics": {"found": False}}, {}, "stop", "not available in this"),
        ({"graphics": {"found": False}}, {}, "stop", "no usable graphics adapter"),
        ({"graphics": {"features": []}}, {}, "stop", "chips with shader-f16"),
        (
            {"graphics": {"limits": {**LIMITS, "maxStorageBufferBindingSize": 2**27}}},
            {},
            "stop",
            "maxStorageBufferBindingSize is 134217728, the model needs 140000000",
        ),
        # Between web-llm's two requests an adapter's own limit counts for nothing.
        (
            {"graphics": {"limits": {**LIMITS, "maxStorageBufferBindingSize": 2**29}}},
            {},
            "stop",
            "maxStorageBufferBindingSize is 134217728, the model needs 140000000",
        ),
        (
            {"graphics": {"limits": {**LIMITS, "maxComputeInvocationsPerWorkgroup": 128}}},
            {},
            "stop",
            "maxComputeInvocationsPerWorkgroup is 128, the model needs 256",
        ),
        ({"storage": {"quota": 2e8, "usage": 1e8}}, {}, "stop", "offers 100 MB"),
        ({"graphics": {"software": True}}, {}, "warn", "answers come slowly"),
        ({"memory_gb": 1}, {}, "warn", "about 600 MB of graphics memory, which may be more"),
        ({}, {"evicted": True}, "warn", "removed the model to make room"),
        ({"storage": {"quota": 2e8, "usage": 1e8}}, {"missing": 0}, "good", ""),
        ({"storage": {"quota": None, "usage": None}, "memory_gb": None}, {}, "good", ""),
    ],
)
def test_every_shortcoming_is_named_with_what_to_do(
    tab: Tab, changes: dict[str, Any], facts: dict[str, Any], level: str, said: str
) -> None:
    verdict = judge(tab, changes, **facts)
    assert verdict["level"] == level
    assert said in verdict["text"]
    if level != "good":
        assert verdict["advice"]
    assert verdict["report"].startswith(f"verdict: {level} \u2013 ")
    assert "browser: Example/1" in verdict["report"]


@pytest.mark.parametrize(
    ("features", "library"),
    [(["shader-f16"], "half"), ([], "single"), (["subgroups", "shader-f16"], "subgroups")],
)
def test_the_best_library_that_runs_here_is_taken(
    tab: Tab, features: list[str], library: str
) -> None:
    libs = [
        {"lib": "subgroups", "required_features": ["shader-f16", "subgroups"]},
        {"lib": "half", "required_features": ["shader-f16"]},
        {"lib": "single", "required_features": []},
    ]
    taken = pick(tab, libs, features)
    assert taken["lib"] == library
    assert taken["id"] == "example"
    assert "libs" not in taken


@pytest.mark.parametrize(
    ("features", "asked", "arithmetic", "choice"),
    [
        (["shader-f16"], None, "f16", "the graphics chip offers shader-f16"),
        ([], None, "f32", "the graphics chip does not offer shader-f16"),
        (["shader-f16"], "f32", "f32", "the address asks for it (library=f32)"),
        ([], "f16", "f16", "the address asks for it (library=f16)"),
        (["shader-f16"], "f64", "f16", "the graphics chip offers shader-f16"),
    ],
)
def test_the_page_says_which_library_it_takes_and_why(
    tab: Tab, features: list[str], asked: str | None, arithmetic: str, choice: str
) -> None:
    libs = [
        {"arithmetic": "f16", "required_features": ["shader-f16"]},
        {"arithmetic": "f32", "required_features": []},
    ]
    taken = pick(tab, libs, features, asked)
    assert (taken["arithmetic"], taken["choice"]) == (arithmetic, choice)
    graphics = {"graphics": {"features": features}}
    verdict = judge(tab, graphics, model={**MODEL, **taken})
    if asked == "f16":
        assert verdict["level"] == "stop"
        assert "out of the address" in verdict["advice"]
    else:
        [told] = [one for one in verdict["checks"] if one["name"] == "Arithmetic"]
        assert told["text"].endswith(f"{choice}.")


def test_a_bundle_with_two_libraries_loads_the_one_that_fits(
    site: Path, session: Session, tmp_path: Path
) -> None:
    from webslm.basics.fs import copy_tree

    copy_tree(site, tmp_path / "bundle")
    path = next((tmp_path / "bundle").glob("app/*/webslm.json"))
    config = json.loads(path.read_text())
    half = {"required_features": ["a-feature-of-no-chip"], "lib": "lib/absent.wasm"}
    config["model"]["libs"] = [half, {"required_features": []}]
    path.unlink()
    path.write_text(json.dumps(config))
    with faulty_server(tmp_path / "bundle") as (url, _):
        page = session.tab()
        page.open(url)
        page.wait_for(IDLE, "the page did not take the second library")
        page.close()


def test_a_site_with_two_libraries_tells_its_choice_and_obeys_its_address(
    session: Session, tmp_path: Path
) -> None:
    """SwiftShader lacks shader-f16."""
    inputs = write_inputs(tmp_path)
    inputs["compile_f16"] = write_half(tmp_path / "compile_f16")
    bundle.run(configuration(), inputs, tmp_path / "bundle", context(tmp_path))
    with faulty_server(tmp_path / "bundle") as (url, faults):
        page = session.tab()
        page.open(f"{url}#about")
        page.wait_for(IDLE, "the page did not take the float32 library")
        why = "the graphics chip does not offer shader-f16"
        page.wait_for(f"#facts :text('32-bit arithmetic, because {why}')", "About does not say it")
        assert why in str(page.evaluate("document.querySelector('#preflight-checks').textContent"))
        page.close()
        page = session.tab()
        page.open(f"{url}?library=f16")
        page.wait_for("html[data-state=unsupported]", "the address was not obeyed")
        assert "asked for needs shader-f16" in page.text("#problem-text")
        assert "out of the address" in page.text("#problem-advice")
        assert faults.asked("lib/") == []
        page.close()


def test_the_report_can_be_copied_and_holds_the_adapter(tab: Tab) -> None:
    tab.evaluate(
        "void Object.defineProperty(navigator, 'clipboard',"
        " { value: { writeText: async (text) => { globalThis.copied = text; } } })"
    )
    tab.evaluate("document.querySelector('#preflight details').open = true")
    tab.click("#copy-report")
    tab.wait_for("#copy-report:text('Copied')", "nothing was copied")
    report = tab.evaluate("globalThis.copied")
    assert "adapter: google swiftshader" in report
    assert "maxStorageBufferBindingSize" in report
    assert "model: example, library-0123456789abcdef.wasm" in report


@pytest.mark.parametrize("width", [360, 1280])
def test_a_metered_connection_is_asked_before_a_big_download(
    session: Session, site: Path, width: int
) -> None:
    with faulty_server(site) as (url, faults):
        page = session.tab(width=width, height=740)
        page.open(url)
        page.wait_for(IDLE, "the page did not start")
        page.evaluate(
            "void Object.defineProperty(navigator, 'connection',"
            " { value: { saveData: true, type: 'cellular' } })"
        )
        page.click("#load")
        page.wait_for("dialog[open]", "nobody asked")
        assert "12 MB" in page.text("#metered-text")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.click("#metered-wait")
        page.wait_for("dialog:not([open])", "the question stayed")
        assert page.evaluate("document.documentElement.dataset.state") == "idle"
        assert faults.asked("params_shard") == []
        page.click("#load")
        page.wait_for("dialog[open]", "nobody asked again")
        page.click("#metered-go")
        page.wait_for("html[data-state=failed]", "the page did not go on")
        assert faults.asked("params_shard") == [None]
        page.close()


def test_speed_and_time_left_are_told_in_words(tab: Tab) -> None:
    lines = tab.call(
        """async () => {
            const { Meter, progressText } = await import("./progress.js");
            const { readableTime } = await import("./readable.js");
            const meter = new Meter(5e6, 0);
            const early = meter.measure(6e6, 50e6, 100);
            const later = meter.measure(15e6, 50e6, 2000);
            const state = { share: 0.15, label: "Downloading", done: 15e6, total: 50e6 };
            return [early.speed, progressText({ ...state, ...later }), progressText(state),
                readableTime(0.2), readableTime(600), readableTime(9000)];
        }""",
        None,
        "measuring",
    )
    assert lines == [
        None,
        "Downloading, 15 MB of 50 MB \u2013 5.0 MB/s, 7 s left \u2013 15 %",
        "Downloading, 15 MB of 50 MB \u2013 15 %",
        "1 s",
        "10 min",
        "2.5 h",
    ]
