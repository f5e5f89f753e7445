"""Take the pictures of the documentation again: every mode at three widths, and the README's page.

    python bench/pictures.py [FOLDER]

Builds the medical assistant with every mode (what is stored is not built again), uses the page as a
visitor would in headless Chromium, and writes docs/page/<mode>-<width>.webp and docs/page.png, or
below FOLDER with PNGs beside them for a closer look. A picture above the limit is an error.
"""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

from webslm.bundle.serve import running_server
from webslm.proof import browser
from webslm.proof.browser import Session, Tab

ROOT = Path(__file__).resolve().parents[1]
NAME = "medical-assistant"
TIMEOUT_S = 600.0
MODES = ("chat", "proof", "product", "structured", "about")
# The phone prefers the dark scheme, so both are seen.
SIZES = ((360, 740, "dark"), (768, 1024, "light"), (1440, 900, "light"))
LONGEST = 1800
LIMIT_BYTES = 120_000
README_SIZE = (1280, 800)
READY = "html[data-state=ready]"
QUESTION = "What are common signs of dehydration?"


def main() -> None:
    """Build, use every mode once, take its pictures at every size."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
    (folder / "page").mkdir(parents=True, exist_ok=True)
    with (
        running_server(build()) as url,
        browser.session(None, timeout_s=TIMEOUT_S) as session,
    ):
        tab = session.tab(width=1440, height=900)
        tab.open(url)
        start(tab)
        for use in (use_chat, use_proof, use_product, use_structured, use_about):
            use(tab)
            tab.wait_for(READY, "the mode did not end")
        for width, height, scheme in SIZES:
            tab._page.emulate_media(color_scheme=scheme)
            for mode in MODES:
                show(tab, mode)
                tab.resize(width, height)
                name = folder / "page" / f"{mode}-{width}"
                shoot(session, tab, name, whole=mode != "chat", png=folder != ROOT / "docs")
        tab.resize(*README_SIZE)
        show(tab, "chat")
        tab.screenshot(folder / "page.png")


def build() -> Path:
    """Return the folder of a bundle with every mode."""
    words = ("domain=medical", "base=tiny", "app=full", f"name={NAME}", "until=bundle")
    subprocess.run([sys.executable, "-m", "webslm", *words], check=True, cwd=ROOT)
    return ROOT / "outputs" / NAME / "bundle"


def start(tab: Tab) -> None:
    """Load both models."""
    tab.wait_for("html[data-state=idle]", "the page did not start")
    tab.click("#load")
    tab.wait_for(READY, "the model was not loaded")
    show(tab, "proof")
    tab.click("#panel-proof .load-base")
    tab.wait_for(f"{READY} #panel-proof .base-gate[hidden]", "the base was not loaded")


def show(tab: Tab, mode: str) -> None:
    """Open a tab of the page, seen from its top."""
    tab.click(f"#tab-{mode}")
    tab.wait_for(f"#panel-{mode}[data-filled]:not([hidden])", f"{mode} was not opened")
    # Focus and pointer belong to whoever uses the page, not to its picture.
    tab._page.mouse.move(0, 0)
    tab.evaluate("(() => { document.activeElement.blur(); scrollTo(0, 0); })()")


def use_chat(tab: Tab) -> None:
    """Ask what the model was taught."""
    show(tab, "chat")
    tab.fill("#input", QUESTION)
    tab.press("Enter")


def use_proof(tab: Tab) -> None:
    """Compare one question of each split."""
    show(tab, "proof")
    for part in (1, 2):
        for item in (2, 3, 4):
            box = f"#panel-proof fieldset:nth-of-type({part}) li:nth-child({item}) input"
            tab.click(box)
    tab.fill("#panel-proof input[max='20']", "1")
    tab.click("#proof-run")


def use_product(tab: Tab) -> None:
    """Ask a question that the documents know."""
    show(tab, "product")
    tab.fill("#product-input", "How much water should I drink when I have a fever?")
    tab.click("#product-run")


def use_structured(tab: Tab) -> None:
    """Ask for the recipe's form."""
    show(tab, "structured")
    tab.click("#structured-run")


def use_about(tab: Tab) -> None:
    """Run the device test."""
    show(tab, "about")
    tab.click("#selftest")
    tab.wait_for("#selftest-verdict[data-ok]", "the device test did not end")


def shoot(session: Session, tab: Tab, name: Path, *, whole: bool, png: bool) -> None:
    """Write a picture of the viewport, or of the page down to the limit."""
    size = tab.evaluate("[innerWidth, innerHeight, document.documentElement.scrollHeight]")
    height = min(LONGEST, max(size[1:])) if whole else size[1]
    clip = {"x": 0, "y": 0, "width": size[0], "height": height, "scale": 1}
    channel = session.context.new_cdp_session(tab._page)
    for kind in ("webp", "png") if png else ("webp",):
        taken = channel.send(
            "Page.captureScreenshot",
            {"format": kind, "quality": 70, "clip": clip, "captureBeyondViewport": whole},
        )
        content = base64.b64decode(taken["data"])
        name.with_suffix(f".{kind}").write_bytes(content)
        if kind == "webp" and len(content) > LIMIT_BYTES:
            raise SystemExit(f"{name}: {len(content)} bytes, {LIMIT_BYTES} allowed")
    channel.detach()


if __name__ == "__main__":
    main()
