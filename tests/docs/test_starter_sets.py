"""The page about the starter sets counts what is shipped."""

from __future__ import annotations

import json
import re

from tests.docs.commands import CHECKOUT
from webslm.dataset import read_rows
from webslm.paths import conf_dir, data_dir


def counted(domain: str) -> tuple[int, ...]:
    """Return what the page's table says of a domain, from its files."""
    folder = data_dir() / domain
    train = read_rows(folder / "train.jsonl")
    documents = json.loads((folder / "knowledge.json").read_text(encoding="utf-8"))
    several = sum(len(row.questions) > 1 for row in train)
    return len(train), several, len(read_rows(folder / "held_out.jsonl")), len(documents)


def test_page_counts_the_shipped_sets() -> None:
    text = (CHECKOUT / "docs" / "starter-sets.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", text, re.MULTILINE)
    said = {name: tuple(map(int, numbers)) for name, *numbers in rows}
    domains = sorted(path.stem for path in (conf_dir() / "domain").glob("*.yaml"))
    assert said == {domain: counted(domain) for domain in domains}
