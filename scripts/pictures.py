"""Take pictures of a built page: python -m scripts.pictures BUNDLE OUT QUESTION...

``+`` in front of a question goes on with the conversation; without it the page starts anew. One
picture a conversation is written to OUT-1.png, OUT-2.png, ...
"""

from __future__ import annotations

import argparse
from pathlib import Path

from webslm.bundle.serve import running_server
from webslm.proof.browser import Tab, session
from webslm.schema import Graphics

READY = "html[data-state=ready]"
WAIT_S = 600.0


def main() -> None:
    """Read the command line and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("out")
    parser.add_argument("questions", nargs="+")
    parser.add_argument("--width", type=int, default=960)
    parser.add_argument("--height", type=int, default=820)
    words = parser.parse_args()
    with (
        running_server(words.bundle) as url,
        session(None, timeout_s=WAIT_S, minimum=0, graphics=Graphics.auto) as browser,
    ):
        tab = browser.tab(width=words.width, height=words.height)
        for number, asked in enumerate(conversations(words.questions), 1):
            begin(tab, url)
            for question in asked:
                ask(tab, question)
            file = Path(f"{words.out}-{number}.png")
            tab.screenshot(file)
            print(file, tab.text("#log"))  # noqa: T201  a command's output


def conversations(questions: list[str]) -> list[list[str]]:
    """Return questions by conversation."""
    found: list[list[str]] = []
    for question in questions:
        if question.startswith("+") and found:
            found[-1].append(question[1:])
        else:
            found.append([question])
    return found


def begin(tab: Tab, url: str) -> None:
    """Open the page and load its model."""
    tab.open(url)
    tab.wait_for("html[data-state=idle], " + READY, "the page did not open")
    if tab.evaluate("document.documentElement.dataset.state") == "idle":
        tab.click("#load")
    tab.wait_for(READY, "the model did not load")


def ask(tab: Tab, question: str) -> None:
    """Ask and wait for the whole answer."""
    tab.fill("#input", question)
    tab.press("Enter")
    tab.wait_for("#log > li:last-child:not([data-state=waiting])", "no answer began")
    tab.wait_for(READY, "the answer did not end")


if __name__ == "__main__":
    main()
