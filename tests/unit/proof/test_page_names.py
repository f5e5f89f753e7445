"""What the proof knows of the page by name is what the page says, on both sides."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from webslm.basics import paths
from webslm.proof import observe, page_names

SITE = paths.site_dir()
PYTHON = {
    "IDS": page_names.IDS,
    "DATA": page_names.DATA,
    "STATES": list(page_names.STATES),
    "WAITING": page_names.WAITING,
    "HANDLER": page_names.HANDLER,
}


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_both_languages_say_the_same(tmp_path: Path) -> None:
    module = tmp_path / "names.mjs"
    shutil.copyfile(SITE / "names.js", module)
    script = f"console.log(JSON.stringify(await import({json.dumps(module.as_uri())})))"
    words = ("node", "--input-type=module", "-e", script)
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == PYTHON


def test_every_name_is_used_by_the_page() -> None:
    modules = [path for path in SITE.rglob("*.js") if path.name != "names.js"]
    text = "".join(path.read_text(encoding="utf-8") for path in modules)
    html = (SITE / "index.html").read_text(encoding="utf-8")
    for group in ("IDS", "DATA"):
        for name in PYTHON[group]:
            assert f"{group}.{name}" in text, f"{group}.{name}"
    for name in ("load", "problemTitle", "problemText", "problemDetails"):
        assert f'id="{page_names.IDS[name]}"' in html


def test_the_proof_spells_none_itself() -> None:
    tree = ast.parse(Path(observe.__file__).read_text(encoding="utf-8"))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    spelled = [text for text in texts if isinstance(text, str) and re.search(r"#[a-z]", text)]
    assert spelled == []
