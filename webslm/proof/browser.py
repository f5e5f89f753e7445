"""Own the headless browser: finding it, starting it, watching what it says. Know no model.

Every wait is held by Playwright's driver process, not by the page, so a page that spins for
ever ends in a sentence; the browser is always closed.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from webslm.basics.errors import EnvironmentMismatch, GraphicsDied, VerificationFailed
from webslm.proof import driver
from webslm.proof.graphics.choice import Chosen, choose
from webslm.proof.graphics_process import GraphicsProcess
from webslm.schema import Graphics

if TYPE_CHECKING:
    from playwright.sync_api import (
        Browser,
        BrowserContext,
        ConsoleMessage,
        Page,
        Playwright,
        Worker,
    )

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
)
VARIABLE = "WEBSLM_BROWSER"
LAUNCH_S = 60.0
START_S = 75.0
"""Longer than Playwright's own ``LAUNCH_S``, which tells more but is not always kept."""
END_S = 60.0
"""Playwright kills a browser that does not close after 30 s."""
HINT = (
    "install one (Debian: apt-get install chromium; or python -m playwright install chromium), "
    f"or name it: verify.browser=/path/to/chrome or {VARIABLE}=/path/to/chrome"
)
NO_WEBGPU_FLAGS = ("--disable-features=WebGPU", "--disable-blink-features=WebGPU")
QUIET_FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A request to any other host must fail even where the page's policy would let it pass.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
_WEBGPU = re.compile(
    r"WebGPU|WGSL|GPUValidation|Device was lost|device was lost|ShaderModule|ComputePipeline"
    r"|BindGroup|CommandBuffer|CommandEncoder|\[Buffer|\[Device|Dawn"
)
_VERSION = re.compile(r"^(\d+)\.")
# Started from a timer, so that even a job that never yields lets the call return; a wait for the
# mark then has a limit that the page cannot overrun.
# A worker has no element to set a mark on: the page sets it when the worker says that it is done.
_AWAIT_WORKER = """() => {
    const root = document.documentElement;
    root.dataset.webslmJob = "running";
    const channel = new BroadcastChannel("webslm-job");
    channel.onmessage = ({ data }) => {
        channel.close();
        globalThis.__webslmJob = data;
        root.dataset.webslmJob = "done";
    };
}"""
_START_IN_WORKER = """(argument) => {
    setTimeout(async () => {
        const channel = new BroadcastChannel("webslm-job");
        try {
            channel.postMessage({ value: await (%s)(argument) });
        } catch (error) {
            channel.postMessage({ error: String(error?.stack ?? error) });
        }
        channel.close();
    });
}"""
_START_JOB = """(argument) => {
    const root = document.documentElement;
    root.dataset.webslmJob = "running";
    setTimeout(async () => {
        try {
            globalThis.__webslmJob = { value: await (%s)(argument) };
        } catch (error) {
            globalThis.__webslmJob = { error: String(error?.stack ?? error) };
        }
        root.dataset.webslmJob = "done";
    });
}"""


@dataclass
class Observed:
    """What a tab said and asked for while it was open."""

    origin: str = ""
    console_errors: list[str] = field(default_factory=list)
    webgpu_errors: list[str] = field(default_factory=list)
    foreign_requests: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


class Tab:
    """One page of the browser, with everything it says recorded."""

    def __init__(self, page: Page, *, timeout_s: float) -> None:
        self._page = page
        self._timeout_ms = timeout_s * 1000
        self.observed = Observed()
        page.set_default_timeout(self._timeout_ms)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.observed.console_errors.append(str(error)))
        page.on("request", lambda request: self._on_request(request.url))

    def open(self, url: str) -> None:
        """Go to a URL and wait for its load event."""
        parts = urlsplit(url)
        self.observed.origin = f"{parts.scheme}://{parts.netloc}"
        with self._explained(f"opening {url}"):
            self._page.goto(url, wait_until="load")

    def wait_for(self, selector: str, what: str, *, timeout_s: float | None = None) -> None:
        """Wait until a CSS selector matches: the one wait that a strict policy does not forbid.

        Raises:
            VerificationFailed: It did not match in time; names ``what`` and the console.
        """
        timeout = self._timeout_ms if timeout_s is None else timeout_s * 1000
        with self._explained(what, timeout_ms=timeout):
            self._page.wait_for_selector(selector, state="attached", timeout=timeout)

    def call(self, function: str, argument: object, what: str) -> Any:
        """Run an asynchronous page function and return its result.

        Args:
            function: JavaScript expression of a function of one argument.
            argument: Plain JSON.
            what: Named when it fails.

        Raises:
            VerificationFailed: It threw, or had no result in time.
        """
        with self._explained(what):
            self._page.evaluate(_START_JOB % function, argument)
        return self._result(what)

    def call_in_worker(self, function: str, argument: object, what: str) -> Any:
        """Run an asynchronous function inside the page's only worker, as ``call`` does.

        The page must be idle: it tells when the worker is done.
        """
        worker = self._worker()
        with self._explained(what):
            self._page.evaluate(_AWAIT_WORKER)
            worker.evaluate(_START_IN_WORKER % function, argument)
        return self._result(what)

    def _result(self, what: str) -> Any:
        self.wait_for("html[data-webslm-job=done]", what)
        done = self.evaluate("globalThis.__webslmJob")
        if "error" in done:
            raise VerificationFailed(f"{what}: {done['error']}{self._said()}")
        return done.get("value")

    def click(self, selector: str) -> None:
        """Click what a CSS selector or Playwright selector finds."""
        with self._explained(f"clicking {selector}"):
            self._page.click(selector)

    def fill(self, selector: str, text: str) -> None:
        """Type into a field."""
        with self._explained(f"typing into {selector}"):
            self._page.fill(selector, text)

    def press(self, key: str) -> None:
        """Press a key where the focus is."""
        with self._explained(f"pressing {key}"):
            self._page.keyboard.press(key)

    def text(self, selector: str) -> str:
        """Return the visible text of the first match."""
        with self._explained(f"reading {selector}"):
            return self._page.inner_text(selector)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a short synchronous expression."""
        with self._explained(f"evaluating {expression[:60]}"):
            return self._page.evaluate(expression)

    def in_worker(self, expression: str) -> Any:
        """Return the value of a short expression inside the page's only worker."""
        worker = self._worker()
        with self._explained("looking into the worker"):
            return worker.evaluate(expression)

    def _worker(self) -> Worker:
        workers = self._page.workers
        if len(workers) != 1:
            raise VerificationFailed(f"expected one worker in the page, saw {len(workers)}")
        return workers[0]

    def resize(self, width: int, height: int) -> None:
        """Set the viewport in CSS pixels."""
        self._page.set_viewport_size({"width": width, "height": height})

    def screenshot(self, path: Path) -> None:
        """Write a PNG of the viewport."""
        with self._explained("taking a screenshot"):
            self._page.screenshot(path=str(path))

    def close(self) -> None:
        """Close the tab and free its graphics memory; what it said stays readable."""
        self._page.close()

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.observed.console_errors.append(message.text)
        if message.type in ("error", "warning") and _WEBGPU.search(message.text):
            self.observed.webgpu_errors.append(message.text)

    def _on_request(self, url: str) -> None:
        self.observed.requests.append(url)
        if url.startswith(("data:", "blob:")):
            return
        if not url.startswith(f"{self.observed.origin}/"):
            self.observed.foreign_requests.append(url)

    def _said(self) -> str:
        last = [*self.observed.console_errors, *self.observed.webgpu_errors][-3:]
        return f" (console: {' | '.join(last)})" if last else ""

    @contextmanager
    def _explained(self, what: str, *, timeout_ms: float | None = None) -> Iterator[None]:
        from playwright.sync_api import Error
        from playwright.sync_api import TimeoutError as Overdue

        try:
            yield
        except Overdue as exc:
            limit_s = (timeout_ms or self._timeout_ms) / 1000
            raise VerificationFailed(
                f"{what}: nothing after {limit_s:g} s{self._said()}",
                hint="on a slow machine allow more: verify.timeout_s=900",
            ) from exc
        except Error as exc:
            line = exc.message.splitlines()[0] if exc.message else "unknown error"
            raise VerificationFailed(f"{what}: {line}{self._said()}") from exc


@dataclass(frozen=True, kw_only=True)
class Session:
    """A running browser."""

    version: str
    chosen: Chosen | None
    """What its pages compute with; None: it has no WebGPU."""
    context: BrowserContext
    timeout_s: float

    def tab(self, *, width: int = 1280, height: int = 800) -> Tab:
        """Open an empty tab."""
        page = self.context.new_page()
        page.set_viewport_size({"width": width, "height": height})
        return Tab(page, timeout_s=self.timeout_s)


def find(named: str | None) -> str | None:
    """Return the browser to start; None means the one Playwright brings.

    Args:
        named: Path or name from the configuration.

    Raises:
        EnvironmentMismatch: A browser was named, by the configuration or the environment,
            and is not there.
    """
    for where, value in (("verify.browser", named), (VARIABLE, os.environ.get(VARIABLE))):
        if value:
            path = shutil.which(value)
            if path is None:
                raise EnvironmentMismatch(f"{where}: no browser at {value!r}", hint=HINT)
            return path
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _check_version(browser: Browser, minimum: int) -> None:
    match = _VERSION.match(browser.version)
    if match and int(match.group(1)) < minimum:
        raise EnvironmentMismatch(
            f"browser: version {browser.version} is too old, {minimum} is the lowest",
            hint=HINT,
        )


@contextmanager
def _death_told(process: GraphicsProcess) -> Iterator[None]:
    """Say of a block that failed because the graphics process died that it did."""
    try:
        yield
    except VerificationFailed as exc:
        if process.died():
            raise GraphicsDied(
                f"the browser's graphics process died: {exc.message}", hint=exc.hint
            ) from exc
        raise


@contextmanager
def session(
    named: str | None,
    *,
    timeout_s: float,
    webgpu: bool = True,
    dark: bool = False,
    minimum: int = 0,
    graphics: Graphics = Graphics.auto,
) -> Iterator[Session]:
    """Start a headless browser with a fresh profile; close it whatever happens.

    Args:
        named: Path or name from the configuration; None looks for one.
        timeout_s: Longest single wait in seconds.
        webgpu: False starts it without WebGPU, as an old browser would be.
        dark: Whether the user prefers a dark page.
        minimum: Lowest major version that will do.
        graphics: Which WebGPU adapter it offers.

    Raises:
        EnvironmentMismatch: There is no browser, it does not start or end, or it is too old; or
            the graphics that were asked for cannot be had.
        GraphicsDied: The block failed because the browser's graphics process had died.
    """
    executable = find(named)
    name = executable or "Playwright's Chromium"
    chosen = choose(graphics) if webgpu else None
    with driver.running() as held:
        with held.deadline(START_S, f"browser: {name} did not start"):
            browser = _launch(held.playwright, executable, chosen)
        with held.ending(browser.close, END_S, f"browser: {name} did not end"):
            _check_version(browser, minimum)
            context = browser.new_context(
                locale="en-GB", color_scheme="dark" if dark else "light", reduced_motion="reduce"
            )
            with _death_told(GraphicsProcess(browser)):
                yield Session(
                    version=browser.version, chosen=chosen, context=context, timeout_s=timeout_s
                )


def _launch(playwright: Playwright, executable: str | None, chosen: Chosen | None) -> Browser:
    from playwright.sync_api import Error

    flags = chosen.flags if chosen else NO_WEBGPU_FLAGS

    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    try:
        return playwright.chromium.launch(
            executable_path=executable,
            args=[*QUIET_FLAGS, *flags],
            env=dict(chosen.environment) if chosen else None,
            # Chromium's own sandbox cannot start as root.
            chromium_sandbox=not is_root,
            timeout=LAUNCH_S * 1000,
        )
    except Error as exc:
        line = exc.message.splitlines()[0] if exc.message else "unknown error"
        name = executable or "Playwright's Chromium"
        raise EnvironmentMismatch(f"browser: {name} did not start: {line}", hint=HINT) from exc
