"""The page about the starter sets counts what is shipped."""

from __future__ import annotations

import json
import re

from tests.docs.commands import CHECKOUT
from webslm.basics.paths import conf_dir, data_dir
from webslm.rows.artifact import read_rows


def counted(domain: str) -> tuple[int, ...]:
    """Return what the page's table says of a domain, from its files."""
    folder = data_dir() / domain
    train = read_rows(folder / "train.jsonl")
    documents = json.loads((folder / "knowledge.json").read_text(encoding="utf-8"))
    several = sum(len(row.questions) > 1 for row in train)
    paraphrases = folder / "paraphrases.jsonl"
    asked = len(read_rows(paraphrases)) if paraphrases.is_file() else 0
    return len(train), several, asked, len(read_rows(folder / "held_out.jsonl")), len(documents)


def test_page_counts_the_shipped_sets() -> None:
    text = (CHECKOUT / "docs" / "starter-sets.md").read_text(encoding="utf-8")
    line = r"^\| (\w+)" + r" \| (\d+)" * 5 + r" \|$"
    rows = re.findall(line, text, re.MULTILINE)
    said = {name: tuple(map(int, numbers)) for name, *numbers in rows}
    domains = {path.stem for path in (conf_dir() / "domain").glob("*.yaml")} - {"auto"}
    assert said == {domain: counted(domain) for domain in domains}
