"""Own the question to a browser: which WebGPU adapter, features and limits it offers."""

from __future__ import annotations

from dataclasses import dataclass

from webslm.adapters.browser import session
from webslm.schema import VerifyConf

TIMEOUT_S = 60.0
_ADAPTER = """async () => {
    const adapter = await navigator.gpu?.requestAdapter();
    if (!adapter) {
        return null;
    }
    const { vendor, architecture, description } = adapter.info;
    return {
        name: [vendor, architecture, description].filter(Boolean).join(" "),
        features: [...adapter.features],
        bytes: adapter.limits.maxBufferSize,
    };
}"""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a browser has."""

    browser: str
    """Its version."""
    adapter: str | None
    """The adapter's name; None: there is none."""
    features: tuple[str, ...] = ()
    max_buffer_bytes: int = 0


def offer(url: str, conf: VerifyConf, minimum: int) -> Offer:
    """Start the browser of a configuration on a page of a secure origin and ask it.

    Raises:
        EnvironmentMismatch: There is no usable browser, or it is older than ``minimum``.
        VerificationFailed: It did not answer in time.
    """
    with session(
        conf.browser, timeout_s=TIMEOUT_S, minimum=minimum, graphics=conf.graphics
    ) as browser:
        tab = browser.tab()
        tab.open(url)
        seen = tab.call(_ADAPTER, None, "asking the browser for a WebGPU adapter")
        if seen is None:
            return Offer(browser=browser.version, adapter=None)
        return Offer(
            browser=browser.version,
            adapter=str(seen["name"]),
            features=tuple(sorted(seen["features"])),
            max_buffer_bytes=int(seen["bytes"]),
        )
