"""Own whether this machine's browser can run a library at all. Load no model."""

from __future__ import annotations

from webslm import paths
from webslm.adapters.browser import Session, session
from webslm.errors import EnvironmentMismatch
from webslm.schema import Graphics, VerifyStageConf
from webslm.serve import running_server

HINT = "until=bundle builds the site without the proof"
_ADAPTER = """async () => {
    const adapter = await navigator.gpu?.requestAdapter();
    if (!adapter) {
        return null;
    }
    const { vendor, architecture, description } = adapter.info;
    const name = [vendor, architecture, description].filter(Boolean).join(" ");
    return { name, features: [...adapter.features] };
}"""


def check_machine(conf: VerifyStageConf) -> None:
    """Start the browser and ask its WebGPU adapter for what the library's shaders need.

    Raises:
        EnvironmentMismatch: There is no usable browser, it offers no adapter, or the adapter
            lacks a feature of the format.
        VerificationFailed: The browser did not answer in time.
    """
    with (
        running_server(paths.PACKAGE / "proof" / "page") as url,
        session(
            conf.verify.browser,
            timeout_s=conf.verify.timeout_s,
            minimum=conf.browser_min,
            graphics=conf.verify.graphics,
        ) as browser,
    ):
        check_adapter(browser, url, conf)


def check_adapter(browser: Session, url: str, conf: VerifyStageConf) -> None:
    """Ask a running browser's WebGPU adapter for what the library's shaders need.

    Args:
        browser: The running one.
        url: Where ``proof/page`` hangs, with a slash at the end.
        conf: The proof's.

    Raises:
        EnvironmentMismatch: It offers no adapter, or the adapter lacks a feature of the format.
        VerificationFailed: The browser did not answer in time.
    """
    tab = browser.tab()
    # WebGPU needs a page of a secure origin; loopback is one.
    tab.open(f"{url}blank.html")
    adapter = tab.call(_ADAPTER, None, "asking the browser for a WebGPU adapter")
    tab.close()
    if adapter is None:
        raise EnvironmentMismatch("verify: the browser offers no WebGPU adapter", hint=HINT)
    if conf.verify.graphics is Graphics.hardware and "swiftshader" in adapter["name"].lower():
        # Chromium falls back without a word; a proof would carry the wrong name.
        raise EnvironmentMismatch(
            f"verify: the browser found no GPU, only {adapter['name']}",
            hint="verify.graphics=software proves on the processor",
        )
    missing = sorted(set(conf.quant.required_features) - set(adapter["features"]))
    if missing:
        raise EnvironmentMismatch(
            f"verify: the browser's WebGPU adapter ({adapter['name']}) lacks "
            f"{', '.join(missing)}, which quant={conf.quant.name} needs",
            hint=f"{HINT}; verify.graphics=hardware uses this machine's GPU; "
            "quant=q4f32_1 runs on every adapter",
        )
