"""Own how a verb's words are read: argparse, whose complaints are sentences with a hint."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from webslm.basics.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """Reads the words of one verb or of one of its actions."""

    def __init__(self, *, sentence: str | None = None, hint: str | None = None, **options: Any):
        """Take argparse's options.

        Args:
            sentence: What is said of any mistake; None: what argparse says.
            hint: What to type.
            options: Of argparse.
        """
        super().__init__(add_help=False, **options)
        self.sentence = sentence
        self.hint = hint

    def error(self, message: str) -> NoReturn:
        """Refuse the words.

        Raises:
            ConfigError: Always.
        """
        told = self.sentence or message
        raise ConfigError(f"{self.prog.split()[0]}: {told}", hint=self.hint)


def add_action(actions: Any, owner: Parser, name: str) -> Parser:
    """Return the parser of one action of a verb, which complains as the verb does."""
    parser: Parser = actions.add_parser(name, sentence=owner.sentence, hint=owner.hint)
    return parser
