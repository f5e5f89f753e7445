"""Own the commands that README and docs show: found, made whole, and why some are not run."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from webslm.basics.paths import PACKAGE

CHECKOUT = PACKAGE.parent
PROGRAMS = ("python", "webslm", "pip", "make", "docker", "eval", "gh", "git", "curl")
OUTPUT = ("text", "json", "yaml", "dockerfile", "python")
"""Languages of fenced blocks that are no commands."""

WORDS = ("peas", "beans", "kale", "leek", "chard", "onion", "garlic", "basil", "mint", "thyme")
"""What the rows of ``my.jsonl`` ask."""
PLACEHOLDERS = {
    "STAGE,...": "merge",
    "STAGE": "merge",
    "outputs/NAME": "outputs/medical-tiny-q4f32_1",
    "outputs/A": "outputs/medical-tiny-q4f32_1",
    "outputs/B": "outputs/medical-tiny-q4f32_1",
    "recipe/NAME.yaml": "recipe/frozen.yaml",
    "recipe=NAME": "recipe=frozen",
    "trained.tar": "steps.tar",
    # Planned only: the tool in it is not asked.
    "compiler.python=/opt/mlc/bin/python": f"compiler.python={sys.executable}",
    "FILE": "steps.tar",
}

NOT_RUN = {
    "make test": "it is what runs this test",
    "make demo": "make's set-up is CI's; the command it ends with is run",
    "python -m venv": "installs a gigabyte; scripts/setup.sh and tests/package do these steps",
    "python3 -m venv": "installs a gigabyte; scripts/setup.sh and tests/package do these steps",
    "pip install": "installs a gigabyte; scripts/setup.sh and tests/package do these steps",
    "cache.remote=s3://": "needs a bucket; tests/unit/test_store.py uses folders",
    "compiler=prebuilt": "names what a reader has; tests/integration/test_prebuilt.py builds so",
    "base.path=package:": "needs that package; tests/unit/test_gguf_header.py makes one",
    "doctor compiler=mlc_llm": "no mlc_llm here; tests/integration/test_mlc_llm.py has a stand-in",
    "python -m bench.dawn": "measures a GPU; tests/unit/test_bench_dawn.py reads what it writes",
    "docker ": "no container engine here; tests/docs/test_container.py runs the steps",
}
"""Beginning or part of a command to the reason why no test runs it."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command of a page."""

    page: str
    line: int
    text: str
    output: tuple[str, ...] = ()
    """Lines shown below it, ``...`` for anything; only of commands behind ``$``."""

    @property
    def reason(self) -> str | None:
        """Return why it is not run, None when it is."""
        return next((why for part, why in NOT_RUN.items() if part in self.text), None)


@dataclass(kw_only=True)
class Block:
    """Lines that belong together: they run in one folder, one after another."""

    page: str
    commands: list[Command] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return where it stands."""
        return f"{self.page}:{self.commands[0].line}"


def blocks() -> Iterator[Block]:
    """Yield every block of commands in README, CONTRIBUTING and docs."""
    pages = [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md"]
    for path in (*pages, *sorted((CHECKOUT / "docs").rglob("*.md"))):
        page = path.relative_to(CHECKOUT).as_posix()
        for start, lines in code(path):
            block = Block(page=page, commands=list(commands(page, start, lines)))
            if block.commands:
                yield block


def code(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (first line's number, lines) of each indented or fenced block."""
    lines = path.read_text(encoding="utf-8").splitlines()
    here = 0
    while here < len(lines):
        start = here
        fence = re.match(r"\s*(```+)(\w*)", lines[here])
        here += 1
        if fence:
            while not lines[here].strip().startswith(fence[1]):
                here += 1
            if fence[2] not in OUTPUT:
                yield start + 2, [line.strip() for line in lines[start + 1 : here]]
            here += 1
        elif lines[start].startswith("    ") and not (start and lines[start - 1].strip()):
            while here < len(lines) and (not lines[here].strip() or lines[here][:4] == "    "):
                here += 1
            yield start + 1, [line[4:] for line in lines[start:here]]


def commands(page: str, start: int, lines: list[str]) -> Iterator[Command]:
    """Yield the commands among the lines of a block."""
    shown = any(line.startswith("$ ") for line in lines)
    number = 0
    while number < len(lines):
        first = number
        text = lines[number].removeprefix("$ ") if shown else lines[number]
        while text.endswith("\\"):
            number += 1
            text = f"{text[:-1].rstrip()} {lines[number].strip()}"
        number += 1
        if shown and not lines[first].startswith("$ "):
            continue
        if re.match(rf"(\w+=\S+ )*({'|'.join(PROGRAMS)})", text):
            below: list[str] = []
            while shown and number < len(lines) and not lines[number].startswith("$ "):
                below += [lines[number]] if lines[number].strip() else []
                number += 1
            yield Command(page=page, line=start + first, text=whole(text), output=tuple(below))


def whole(text: str) -> str:
    """Return a command without its explanation and with values for its placeholders."""
    text = re.split(r"\s{2,}", text)[0]
    text = re.sub(r" \[[^\]]*\]", "", text)
    for name, value in PLACEHOLDERS.items():
        text = re.sub(rf"(?<![A-Z_]){re.escape(name)}(?![A-Z_])", value, text)
    return text
