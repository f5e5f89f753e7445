"""Own whether this machine's browser can run a library at all. Load no model."""

from __future__ import annotations

from webslm.basics import paths
from webslm.basics.errors import EnvironmentMismatch
from webslm.bundle.serve import running_server
from webslm.model.weights.format import Format
from webslm.proof.graphics.choice import features_hint, is_software
from webslm.proof.webgpu import Offer, offer
from webslm.schema import Graphics, VerifyStageConf

HINT = "until=bundle builds the site without the proof"


def check_machine(conf: VerifyStageConf) -> Offer:
    """Start the browser, ask its WebGPU adapter for what the library's shaders need, return it.

    Raises:
        EnvironmentMismatch: There is no usable browser, it offers no adapter, or the adapter
            lacks a feature of the format.
        VerificationFailed: The browser did not answer in time, or does not compute.
    """
    with running_server(paths.PACKAGE / "proof" / "page") as url:
        # WebGPU needs a page of a secure origin; loopback is one.
        seen = offer(
            f"{url}blank.html",
            conf.verify.browser,
            conf.verify.graphics,
            minimum=conf.browser_min,
            timeout_s=conf.verify.timeout_s,
        )
    if seen.adapter is None:
        raise EnvironmentMismatch("verify: the browser offers no WebGPU adapter", hint=HINT)
    if seen.graphics is Graphics.hardware and is_software(seen.adapter):
        # Chromium falls back without a word; a proof would carry the wrong name.
        raise EnvironmentMismatch(
            f"verify: the browser found no GPU, only {seen.adapter}",
            hint="verify.graphics=auto proves on the processor",
        )
    missing = lacks(seen, conf)
    if missing:
        raise EnvironmentMismatch(
            f"verify: the browser's WebGPU adapter ({seen.adapter}) lacks "
            f"{', '.join(missing)}, which quant={conf.quant.name} needs",
            hint=f"{features_hint(seen.graphics)}; {HINT}",
        )
    return seen


def lacks(seen: Offer, conf: VerifyStageConf) -> list[str]:
    """Return the features of the format that an adapter does not have."""
    return sorted(set(Format(conf.quant).required_features) - set(seen.features))
