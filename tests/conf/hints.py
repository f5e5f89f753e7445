"""What hints tell to type: found in their sentences as a shell would read it, and tried."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator

from webslm.basics.errors import ConfigError
from webslm.cli.verbs.tree import VERBS
from webslm.config.compose import compose
from webslm.config.freeform import typed

# A word of a shell that sets a key: quoted parts may hold anything.
SETTING = re.compile(r"(?<![\w.'\"/-])(~?[a-z][\w./]*=(?:'[^']*'|\"[^\"]*\"|[^\s,;:()'\"])+)")
COMMAND = re.compile(r"python -m webslm ((?:'[^']*'|[^;,()'])+)")
PLACEHOLDERS = {
    "FILE": "rows.jsonl",
    "FOLDER": "folder",
    "OWNER/NAME": "someone/rows",
    "ADDRESS": "https://host.invalid/",
    "RANGE": "0",
}
SPOKEN = re.compile(r" (?:shows|lists|builds|both|and|or)\b.*")
"""Where a sentence goes on after a command."""


def run_commands(hints: Iterable[str]) -> None:
    """Read every command of the hints like a shell, and let webslm read its words."""
    for hint in hints:
        for command in COMMAND.findall(hint):
            check_words(shlex.split(SPOKEN.sub("", command)), hint)
        for setting in SETTING.findall(COMMAND.sub("", hint)):
            # "did you mean KEY=VALUE?"
            words = shlex.split(setting.rstrip("?"))
            assert len(words) == 1, hint
            check_words(words, hint)


def check_words(words: list[str], hint: str) -> None:
    """Check the words of one command: a verb, known flags, or overrides that compose."""
    assert words, hint
    if words[0] in VERBS or words[0] in ("--help", "--cfg"):
        return
    for word in filled(words):
        if word in ("-m", "--multirun"):
            continue
        try:
            read(word, "-m" in words)
        except ConfigError as exc:
            raise AssertionError(f"{hint!r} cannot be typed: {word!r}: {exc}") from exc


def read(word: str, sweep: bool) -> None:
    """Compose an override; of a sweep's, its first value."""
    key, _, value = word.partition("=")
    if sweep and "," in value and not value.startswith(("'", '"', "[")):
        word = f"{key}={value.partition(',')[0]}"
    compose(typed([f"from_stage={value}" if key == "from" else word]))


def filled(words: Iterable[str]) -> Iterator[str]:
    """Yield the words with values in place of what stands for them."""
    for word in words:
        key, equals, value = word.partition("=")
        # OPTION, STAGE, VALUE: anything of that kind, so only the key can be tried.
        if re.fullmatch(r"[A-Z][A-Z]+", value) and value not in PLACEHOLDERS:
            continue
        yield f"{key}{equals}{PLACEHOLDERS.get(value, value)}"
