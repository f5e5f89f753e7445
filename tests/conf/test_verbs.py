"""One tree of verbs: help, completion and dispatch know the same; mistakes are sentences."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from webslm.basics.errors import ConfigError
from webslm.basics.paths import PACKAGE
from webslm.cli.help import help_text
from webslm.cli.main import run
from webslm.cli.verbs import tree


def actions(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices


def test_a_verb_is_a_module_and_every_module_is_one() -> None:
    modules = {path.stem for path in (PACKAGE / "cli" / "verbs").glob("*.py")}
    assert modules - {"__init__", "tree", "words"} == set(tree.VERBS) == set(tree.parsers())


@pytest.mark.parametrize("verb", tree.VERBS)
def test_help_names_every_verb_and_action(verb: str) -> None:
    text = help_text()
    assert re.search(rf"webslm {verb}\b", text)
    for action in actions(tree.parsers()[verb]):
        assert re.search(rf"webslm {verb} (\S*\|)?{action}\b", text), action


def test_completion_offers_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", "words", "--", ""]) == 0
    assert set(tree.VERBS) <= set(capsys.readouterr().out.split())
    assert run(["completion", "words", "--", "--he"]) == 0
    assert capsys.readouterr().out == "--help\n"
    for shell in ("bash", "zsh", "fish"):
        assert run(["completion", shell]) == 0
        assert "webslm completion words --" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["lock"], "lock: say what to do with which folder"),
        (["lock", "check"], "lock: say what to do with which folder"),
        (["lock", "check", "a", "b"], "lock: say what to do with which folder"),
        (["lock", "mend", "a"], "lock: say what to do with which folder"),
        (["recipe", "freeze"], "recipe: say what to freeze"),
        (["recipe", "thaw", "a"], "recipe: say what to freeze"),
        (["init"], "init: name one folder"),
        (["init", "-x"], "init: name one folder"),
        (["completion"], "completion: name a shell"),
        (["completion", "words"], "completion: name a shell"),
        (["completion", "bash", "x"], "completion: name a shell"),
        (["publish"], "publish: which build?"),
        (["publish", "a", "b"], "publish: which build?"),
        (["publish", "a", "quant=x"], "publish: 'quant=x' builds, it does not publish"),
        (["serve"], "serve: the following arguments are required: folder"),
        (["serve", "a", "--port", "x"], "serve: argument --port: invalid int value: 'x'"),
        (["cache", "list", "a", "b"], "cache: unrecognized arguments: b"),
        (["cache", "gc"], "cache gc: say what stays"),
    ],
)
def test_mistake_is_a_sentence_with_a_hint(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        tree.run(words)
    assert caught.value.message == sentence
    assert caught.value.hint
