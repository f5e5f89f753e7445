"""The lint and Chromium judge shaders alike, on a device with the limits web-llm asks for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shader_cases import BROKEN, GOOD, buffers
from webslm.bundle.serve import running_server
from webslm.compiler.passes.limits import shader_problems
from webslm.compiler.profiles import PROFILES
from webslm.compiler.wgsl.words import RESERVED
from webslm.proof import browser
from webslm.proof.browser import Tab
from webslm.schema import Profile

pytestmark = pytest.mark.browser
LIMITS = PROFILES[Profile.desktop]
# Chromium takes more than the specification promises; another browser need not.
STRICTER = ("bytes of a function's variables", "bytes of a uniform")
JUDGE = """async ({ texts, limits }) => {
    const adapter = await navigator.gpu.requestAdapter();
    const device = await adapter.requestDevice({ requiredLimits: limits });
    const refused = [];
    for (const code of texts) {
        device.pushErrorScope("validation");
        const module = device.createShaderModule({ code });
        device.createComputePipeline({
            layout: "auto", compute: { module, entryPoint: "good_kernel" },
        });
        refused.push((await device.popErrorScope())?.message ?? null);
    }
    return refused;
}"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    folder: Path = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text("<p>shaders</p>", encoding="utf-8")
    with (
        running_server(folder) as url,
        browser.session(None, timeout_s=60.0) as session,
    ):
        page = session.tab()
        page.open(url)
        yield page


def refused(tab: Tab, texts: list[str]) -> list[str | None]:
    limits = {
        "maxStorageBuffersPerShaderStage": LIMITS.max_storage_buffers_per_shader_stage,
        "maxComputeWorkgroupStorageSize": LIMITS.max_compute_workgroup_storage_size,
        "maxComputeInvocationsPerWorkgroup": LIMITS.max_compute_invocations_per_workgroup,
    }
    found: list[str | None] = tab.call(JUDGE, {"texts": texts, "limits": limits}, "compiling")
    return found


def test_what_passes_the_lint_compiles(tab: Tab) -> None:
    texts = [GOOD, buffers(10)]
    assert [shader_problems(text, dtype="float32") for text in texts] == [[], []]
    assert refused(tab, texts) == [None, None]


def test_what_the_lint_refuses_does_not_compile(tab: Tab) -> None:
    cases = [(GOOD.replace(old, new), problem) for old, new, problem in BROKEN]
    cases.append((buffers(11), "11 storage buffers"))
    answers = refused(tab, [text for text, _ in cases])
    accepted = [
        problem
        for (_, problem), answer in zip(cases, answers, strict=True)
        if answer is None and not any(part in problem for part in STRICTER)
    ]
    assert accepted == []


def test_reserved_names_are_those_that_chromium_refuses(tab: Tab) -> None:
    words = [*sorted(RESERVED), "partial", "tile", "value"]
    answers = refused(tab, [GOOD.replace("used_tile", word) for word in words])
    assert [word for word, answer in zip(words, answers, strict=True) if answer is None] == [
        "partial",
        "tile",
        "value",
    ]
