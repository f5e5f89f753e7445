"""Own what a real browser shows of a bundle: a user's visit, then measured tokens. Judge nothing.

The visit opens the page as it is, loads the model and asks an example question. The measurement
opens a harness page beside the bundle (``proof/page``) that drives web-llm's public API.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from webslm import paths
from webslm.adapters.browser import Session, Tab, session
from webslm.adapters.webgpu import adapter_name
from webslm.errors import VerificationFailed
from webslm.schema import VerifyConf
from webslm.serve import running_server
from webslm.stage import Progress

HARNESS = paths.PACKAGE / "proof" / "page"
HARNESS_PREFIX = "/__verify__/"
KEPT_LOGITS = 8
"""Best logits per position that the browser hands back."""
Best = list[list[tuple[int, float]]]
"""For every position the best (token, raw logit), largest first."""
_DETAILS = "document.querySelector('#problem-details').textContent.trim()"
_LAST_ANSWER = "#log > li.assistant:last-child"


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What a user of the page saw."""

    question: str
    answer: str
    load_s: float
    """Seconds from the click on the load button until the page was ready."""
    first_piece_s: float
    """Seconds from the question until the page showed the first piece of its answer."""
    decode_tok_s: float
    dispatches_per_token: float
    submits_per_token: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """A continuation to force after a prompt."""

    question: int
    """Index of the question that the prompt asks."""
    prompt: list[int]
    continuation: list[int]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One greedy answer through chat completions."""

    text: str
    stopped: bool
    tokens: list[int]
    """Sampled tokens, the stop token included."""
    best: Best
    """For each of ``tokens``."""
    num_prompt_tokens: int


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Everything the browser said."""

    browser: str
    adapter: str
    visit: Visit
    asked: list[Asked]
    followed: list[Best]
    """One for every run."""
    console_errors: list[str]
    webgpu_errors: list[str]
    foreign_requests: list[str]


def observe(
    bundle: Path,
    questions: Sequence[Sequence[Mapping[str, str]]],
    runs: Sequence[Run],
    conf: VerifyConf,
    *,
    screenshot: Path,
    progress: Progress,
    minimum: int = 0,
) -> Proof:
    """Open a bundle in a headless browser and measure it.

    Args:
        bundle: The site's folder.
        questions: Conversations (system and user messages) to answer greedily.
        runs: Continuations to force, each after one of the questions. One that the browser has
            just said by itself, or that was forced already, is not computed again.
        conf: Limits and the browser to use.
        screenshot: Where the page's picture goes, also when the visit fails.
        progress: Told what is going on.
        minimum: Lowest major version of the browser that will do.

    Raises:
        EnvironmentMismatch: There is no usable browser.
        GraphicsDied: The browser's graphics process died.
        VerificationFailed: The page did not load, did not answer, or broke off.
    """
    extra = {HARNESS_PREFIX: HARNESS}
    total = 2 + len(questions) + len(runs)
    with (
        running_server(bundle, extra) as url,
        session(
            conf.browser, timeout_s=conf.timeout_s, minimum=minimum, graphics=conf.graphics
        ) as browser,
    ):
        progress.update(0, total, "loading the page")
        page = browser.tab()
        try:
            visit = visit_page(page, url, str(questions[0][-1]["content"]))
        except VerificationFailed:
            # What went wrong is worth more than its picture.
            with suppress(VerificationFailed):
                page.screenshot(screenshot)
            raise
        page.screenshot(screenshot)
        page.close()
        progress.update(1, total, "loading the harness")
        harness, adapter = open_harness(browser, url)
        asked: list[Asked] = []
        for messages in questions:
            progress.update(2 + len(asked), total, str(messages[-1]["content"]))
            asked.append(ask(harness, messages, max(conf.max_answer_tokens, conf.num_tokens)))
        followed: list[Best] = []
        known: dict[tuple[int, tuple[int, ...]], Best] = {}
        for run in runs:
            progress.update(2 + len(asked) + len(followed), total, "forced decoding")
            own = asked[run.question]
            count = len(run.continuation)
            key = (run.question, tuple(run.continuation))
            if own.tokens[:count] == run.continuation:
                known[key] = own.best[:count]
            if key not in known:
                known[key] = follow(harness, run.prompt, run.continuation)
            followed.append(known[key])
        progress.update(total, total)
        seen = [page.observed, harness.observed]
        return Proof(
            browser=f"Chromium {browser.version}",
            adapter=adapter,
            visit=visit,
            asked=asked,
            followed=followed,
            console_errors=[text for tab in seen for text in tab.console_errors],
            webgpu_errors=[text for tab in seen for text in tab.webgpu_errors],
            foreign_requests=[text for tab in seen for text in tab.foreign_requests],
        )


def visit_page(page: Tab, url: str, fallback: str) -> Visit:
    """Use the page as a visitor does: load, ask the first example, wait for the whole answer.

    Args:
        page: An empty tab.
        url: Where the bundle hangs.
        fallback: Typed in when the page offers no example question.

    Raises:
        VerificationFailed: The page shows a problem, or nothing in time.
    """
    page.open(url)
    _wait_for_state(page, "idle", "the page did not offer to load the model")
    page.click("#load")
    _wait_for_state(page, "ready", "the page did not load the model")
    load_s = float(page.evaluate("document.documentElement.dataset.loadSeconds"))
    page.in_worker((HARNESS / "count.js").read_text(encoding="utf-8"))
    if page.evaluate("document.querySelectorAll('#questions button').length") > 0:
        page.click("#questions li:first-child button")
    else:
        page.fill("#input", fallback)
        page.press("Enter")
    page.wait_for(
        f"{_LAST_ANSWER}:not([data-state=waiting])", "the page showed no piece of an answer"
    )
    _wait_for_state(page, "ready", "the page did not finish its answer")
    data = page.evaluate(f"({{...document.querySelector('{_LAST_ANSWER}').dataset}})")
    answer = page.text(f"{_LAST_ANSWER} .text")
    dispatches, submits = per_token(page.in_worker("webslmCounts.marks"))
    return Visit(
        question=page.text("#log > li.user .text"),
        answer=answer,
        load_s=load_s,
        first_piece_s=float(data.get("firstPieceSeconds") or 0),
        decode_tok_s=float(data.get("tokensPerSecond") or 0),
        dispatches_per_token=dispatches,
        submits_per_token=submits,
    )


def per_token(marks: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Return the median dispatches and submits between two pieces of an answer.

    Args:
        marks: Running (dispatches, submits) at each piece; the last ones compute nothing.
    """
    steps = [
        (after[0] - before[0], after[1] - before[1])
        for before, after in pairwise(marks)
        if after[0] > before[0]
    ]
    if not steps:
        return 0.0, 0.0
    return statistics.median(s[0] for s in steps), statistics.median(s[1] for s in steps)


def open_harness(browser: Session, url: str) -> tuple[Tab, str]:
    """Load the model in the harness page; return its tab and the adapter's name."""
    tab = browser.tab()
    tab.open(f"{url.rstrip('/')}{HARNESS_PREFIX}index.html")
    tab.wait_for("html[data-harness=ready]", "the harness page did not start")
    tab.call("() => webslm.load()", None, "loading the model in the harness")
    return tab, adapter_name(browser, tab)


def ask(harness: Tab, messages: Sequence[Mapping[str, str]], max_tokens: int) -> Asked:
    """Return the greedy answer to a conversation."""
    argument = {
        "messages": [dict(m) for m in messages],
        "maxTokens": max_tokens,
        "keep": KEPT_LOGITS,
    }
    reply = harness.call("(words) => webslm.ask(words)", argument, "asking a trained question")
    return Asked(
        text=reply["text"],
        stopped=reply["finish"] == "stop",
        tokens=reply["tokens"],
        best=_best(reply["steps"]),
        num_prompt_tokens=reply["promptTokens"],
    )


def follow(harness: Tab, prompt: Sequence[int], continuation: Sequence[int]) -> Best:
    """Force a continuation; return the best raw (token, logit) at each of its positions."""
    argument = {
        "prompt": list(prompt),
        "continuation": list(continuation),
        "keep": KEPT_LOGITS,
    }
    return _best(harness.call("(words) => webslm.follow(words)", argument, "forced decoding"))


def _best(steps: Sequence[Any]) -> Best:
    return [[(int(token), float(logit)) for token, logit in step] for step in steps]


def _wait_for_state(page: Tab, state: str, what: str) -> None:
    ends = (state, "failed", "unsupported")
    page.wait_for(", ".join(f"html[data-state={end}]" for end in ends), what)
    seen = page.evaluate("document.documentElement.dataset.state")
    if seen != state:
        title, text = page.text("#problem-title"), page.text("#problem-text")
        raise VerificationFailed(
            f"{what}; it said: {title}: {text}",
            hint=f"its details end: {page.evaluate(_DETAILS)[-400:]}",
        )
