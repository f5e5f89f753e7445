"""Own what a real browser shows of a bundle: a user's visit, then measured tokens. Judge nothing.

The visit opens the page as it is, loads the model and asks an example question. The measurement
follows in the same page: a harness (``proof/page``) takes over the model in its worker.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from webslm.basics import paths
from webslm.basics.errors import VerificationFailed
from webslm.basics.stage import Progress
from webslm.proof.browser import Session, Tab
from webslm.proof.page_names import DATA, HANDLER, IDS, WAITING
from webslm.proof.webgpu import adapter_name
from webslm.schema import VerifyConf

HARNESS = paths.PACKAGE / "proof" / "page"
HARNESS_PREFIX = "/__verify__/"
KEPT_LOGITS = 8
"""Best logits per position that the browser hands back."""
Best = list[list[tuple[int, float]]]
"""For every position the best (token, raw logit), largest first."""
_DETAILS = f"document.querySelector('#{IDS['problemDetails']}').textContent.trim()"
_ROOT = "document.documentElement.dataset"
_LAST_ANSWER = f"#{IDS['log']} > li.assistant:last-child"
_PRESS_STOP = f"""void (new BroadcastChannel("webslm-pieces").onmessage = () => {{
    document.querySelector("#{IDS["stop"]}").click();
}})"""
_ADOPT = f"async (url) => {{ await import(url); return webslm.adopt({HANDLER}.engine); }}"


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What a user of the page saw."""

    question: str
    answer: str
    finished: bool
    """Whether the model ended it; else the visitor pressed Stop, or it met the page's limit."""
    load_s: float
    """Seconds from the click on the load button until the page was ready."""
    first_piece_s: float
    """Seconds from the question until the page showed the first piece of its answer."""
    decode_tok_s: float
    dispatches_per_token: float
    submits_per_token: float


@dataclass(frozen=True, kw_only=True)
class Question:
    """A conversation to be answered, and what torch answers."""

    messages: Sequence[Mapping[str, str]]
    prompt: list[int]
    answer: list[int]
    """The whole answer that is expected, and forced; its stop token included."""
    text: str
    """The same as text."""
    stopped: bool
    """Whether it ends by itself."""
    said: bool
    """Whether the browser shall say it by itself too, token by token."""


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
class Answer:
    """The browser's greedy answer to a question, whole or up to its limit."""

    text: str
    stopped: bool
    by: str
    """said: decoded token by token; forced: torch's answer, of which every token was the browser's
    best one when it was fed."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Everything the browser said."""

    browser: str
    adapter: str
    visit: Visit
    asked: Sequence[Asked | None]
    """For every question; None: only forced."""
    followed: list[Best]
    """For every question at the positions of the answer that was forced, or of its start."""
    answers: list[Answer]
    """For every question."""
    console_errors: list[str]
    webgpu_errors: list[str]
    foreign_requests: list[str]


def observe(
    browser: Session,
    url: str,
    questions: Sequence[Question],
    conf: VerifyConf,
    *,
    screenshot: Path,
    progress: Progress,
) -> Proof:
    """Visit a bundle in a headless browser, and measure the model that the page has loaded.

    Args:
        browser: As ``adapters.browser.session`` starts it.
        url: Where the bundle hangs, with the harness under ``HARNESS_PREFIX``.
        questions: What is asked and forced.
        conf: Limits.
        screenshot: Where the page's picture goes, also when the visit fails.
        progress: Told what is going on.

    Raises:
        EnvironmentMismatch: The page computes with something else than the browser was given.
        GraphicsDied: The browser's graphics process died.
        VerificationFailed: The page did not load, did not answer, or broke off.
    """
    total = 1 + len(questions) + sum(question.said for question in questions)
    tell = partial(progress.update, total=total)
    tell(0, message="loading the page, asking its first question")
    page = browser.tab()
    try:
        fallback = str(questions[0].messages[-1]["content"])
        visit = visit_page(page, url, fallback, most_pieces=conf.max_visit_tokens)
    except VerificationFailed:
        # What went wrong is worth more than its picture.
        with suppress(VerificationFailed):
            page.screenshot(screenshot)
        raise
    page.screenshot(screenshot)
    adapter = adapter_name(browser, page)
    probe = Probe(page, url)
    measured = _Measuring(probe, conf, tell)
    # What follows each other in this order has most of its prompt in common.
    asked = [measured.said(question) for question in questions]
    seen = [measured.forced(*pair) for pair in zip(questions, asked, strict=True)]
    progress.update(total, total)
    return Proof(
        browser=f"Chromium {browser.version}",
        adapter=adapter,
        visit=visit,
        asked=asked,
        followed=[best for best, _ in seen],
        answers=[answer for _, answer in seen],
        console_errors=page.observed.console_errors,
        webgpu_errors=page.observed.webgpu_errors,
        foreign_requests=page.observed.foreign_requests,
    )


class _Measuring:
    """The questions on their way through the browser."""

    def __init__(self, probe: Probe, conf: VerifyConf, tell: Callable[..., None]) -> None:
        self._probe = probe
        self._conf = conf
        self._tell = tell
        self._done = 1
        self._most = max(conf.max_answer_tokens, conf.num_tokens)

    def said(self, question: Question) -> Asked | None:
        """Return what the browser says by itself; None: it is not asked to.

        Where a library looks at one position at a time, saying costs no more than forcing, so all
        of every answer is said.
        """
        if not self._probe.at_once:
            return self._ask(question, self._most)
        return self._ask(question, self._conf.num_tokens) if question.said else None

    def forced(self, question: Question, asked: Asked | None) -> tuple[Best, Answer]:
        """Return the best logits at the positions of the expected answer, and the browser's own."""
        wanted, whole = question.answer, None
        if not self._probe.at_once and asked is not None:
            if asked.tokens == wanted:
                return asked.best, Answer(text=asked.text, stopped=asked.stopped, by="said")
            wanted, whole = wanted[: self._conf.num_tokens], asked
        self._tell(self._done, message=f"forcing {len(wanted)} tokens: {_name(question)}")
        best = self._probe.follow(question.prompt, wanted)
        self._done += 1
        if self._probe.at_once and [step[0][0] for step in best] == wanted:
            return best, Answer(text=question.text, stopped=question.stopped, by="forced")
        # Forced positions cannot tell what follows a token that the browser would not have said.
        whole = whole or self._ask(question, self._most)
        return best, Answer(text=whole.text, stopped=whole.stopped, by="said")

    def _ask(self, question: Question, most: int) -> Asked:
        self._tell(self._done, message=f"saying up to {most} tokens: {_name(question)}")
        asked = self._probe.ask(question.messages, most)
        self._done += 1
        return asked


def _name(question: Question) -> str:
    return str(question.messages[-1]["content"])


def visit_page(page: Tab, url: str, fallback: str, *, most_pieces: int | None = None) -> Visit:
    """Use the page as a visitor does: load, ask the first example, wait for the answer.

    Args:
        page: An empty tab.
        url: Where the bundle hangs.
        fallback: Typed in when the page offers no example question.
        most_pieces: Pieces of an answer after which the visitor presses Stop; None: never.

    Raises:
        VerificationFailed: The page shows a problem, or nothing in time.
    """
    page.open(url)
    _wait_for_state(page, "idle", "the page did not offer to load the model")
    page.click(f"#{IDS['load']}")
    _wait_for_state(page, "ready", "the page did not load the model")
    load_s = float(page.evaluate(f"{_ROOT}.{DATA['loadSeconds']}"))
    page.in_worker((HARNESS / "count.js").read_text(encoding="utf-8"))
    if most_pieces is not None:
        page.evaluate(_PRESS_STOP)
        page.in_worker(f"void (webslmCounts.most = {most_pieces})")
    examples = f"#{IDS['questions']}"
    if page.evaluate(f"document.querySelectorAll('{examples} button').length") > 0:
        page.click(f"{examples} li:first-child button")
    else:
        page.fill(f"#{IDS['input']}", fallback)
        page.press("Enter")
    page.wait_for(
        f"{_LAST_ANSWER}:not([data-{DATA['state']}={WAITING}])",
        "the page showed no piece of an answer",
    )
    _wait_for_state(page, "ready", "the page did not finish its answer")
    data = page.evaluate(f"({{...document.querySelector('{_LAST_ANSWER}').dataset}})")
    answer = page.text(f"{_LAST_ANSWER} .text")
    dispatches, submits = per_token(page.in_worker("webslmCounts.marks"))
    return Visit(
        question=page.text(f"#{IDS['log']} > li.user .text"),
        answer=answer,
        finished=data.get(DATA["finish"]) == "stop",
        load_s=load_s,
        first_piece_s=float(data.get(DATA["firstPieceSeconds"]) or 0),
        decode_tok_s=float(data.get(DATA["tokensPerSecond"]) or 0),
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


class Probe:
    """The model that a page has loaded, asked from inside the page's worker."""

    def __init__(self, page: Tab, url: str) -> None:
        """Put the harness into a page whose model is loaded and idle.

        Args:
            page: The page; nothing may be asked through it any more.
            url: Where the bundle hangs, with the harness under ``HARNESS_PREFIX``.
        """
        self._page = page
        harness = f"{url.rstrip('/')}{HARNESS_PREFIX}harness.js"
        loaded = page.call_in_worker(_ADOPT, harness, "putting the harness into the page")
        self.at_once = bool(loaded["atOnce"])
        """Whether the library can look at all positions of a continuation at once."""

    def ask(self, messages: Sequence[Mapping[str, str]], max_tokens: int) -> Asked:
        """Return the greedy answer to a conversation."""
        argument = {
            "messages": [dict(m) for m in messages],
            "maxTokens": max_tokens,
            "keep": KEPT_LOGITS,
        }
        reply = self._page.call_in_worker(
            "(words) => webslm.ask(words)", argument, "asking a trained question"
        )
        return Asked(
            text=reply["text"],
            stopped=reply["finish"] == "stop",
            tokens=reply["tokens"],
            best=_best(reply["steps"]),
            num_prompt_tokens=reply["promptTokens"],
        )

    def follow(self, prompt: Sequence[int], continuation: Sequence[int]) -> Best:
        """Force a continuation; return the best raw (token, logit) at each of its positions."""
        argument = {
            "prompt": list(prompt),
            "continuation": list(continuation),
            "keep": KEPT_LOGITS,
        }
        return _best(
            self._page.call_in_worker(
                "(words) => webslm.follow(words)", argument, "forced decoding"
            )
        )


def _best(steps: Sequence[Any]) -> Best:
    return [[(int(token), float(logit)) for token, logit in step] for step in steps]


def _wait_for_state(page: Tab, state: str, what: str) -> None:
    ends = (state, "failed", "unsupported")
    page.wait_for(", ".join(f"html[data-{DATA['state']}={end}]" for end in ends), what)
    seen = page.evaluate(f"{_ROOT}.{DATA['state']}")
    if seen != state:
        title, text = (page.text(f"#{IDS[key]}") for key in ("problemTitle", "problemText"))
        raise VerificationFailed(
            f"{what}; it said: {title}: {text}",
            hint=f"its details end: {page.evaluate(_DETAILS)[-400:]}",
        )
