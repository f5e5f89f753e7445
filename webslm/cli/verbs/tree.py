"""Own the tree of verbs: what help, completion and dispatch know of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from webslm.cli.verbs import cache, completion, doctor, init, lock, publish, recipe, serve
from webslm.cli.verbs.words import Parser

MODULES = (serve, cache, init, publish, completion, lock, recipe, doctor)
VERBS = tuple(module.__name__.rpartition(".")[2] for module in MODULES)
"""A verb is called as its module is."""


def parsers() -> dict[str, Parser]:
    """Return the parser of each verb by its name."""
    verbs: Any = Parser(prog="").add_subparsers()
    for module in MODULES:
        module.add(verbs)
    found: dict[str, Parser] = verbs.choices
    return found


def run(words: Sequence[str]) -> int:
    """Do what a verb and its words say; return the exit code.

    Raises:
        WebslmError: What is wrong with the words, or what the verb met.
    """
    options = parsers()[words[0]].parse_args(list(words[1:]))
    code: int = options.run(options)
    return code
