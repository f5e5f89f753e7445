"""Own shell completion: the scripts for the shells, and the words that can come next."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from webslm.basics.paths import group_dirs
from webslm.engine.table import STAGE_NAMES
from webslm.schema import Config

BASH = """\
_webslm_complete() {
  local word="${COMP_LINE:0:COMP_POINT}"
  word="${word##* }"
  local IFS=$'\\n'
  COMPREPLY=($(webslm completion words -- "$word"))
  # Bash starts a new word at `=`, so what stands before it is not repeated.
  case "$word" in *=*) COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*=}"}"}") ;; esac
  [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -F _webslm_complete webslm
"""
ZSH = """\
autoload -U +X compinit && compinit
_webslm_complete() {
  local -a found
  found=(${(f)"$(webslm completion words -- "$PREFIX")"})
  compadd -S '' -- $found
}
compdef _webslm_complete webslm
"""
FISH = """\
complete -c webslm -f -a '(webslm completion words -- (commandline -ct))'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
FLAGS = ("--help", "--version", "--cfg", "--config-dir", "-m")


WORDS = "words"
"""In a shell's place: what the scripts ask."""


def add(verbs: Any) -> None:
    """Add the verb's words."""
    parser = verbs.add_parser(
        "completion",
        sentence="name a shell",
        hint=f'one of {", ".join(SCRIPTS)}, such as: eval "$(webslm completion bash)"',
    )
    parser.add_argument("shell", choices=(*SCRIPTS, WORDS))
    parser.add_argument("word", nargs="?", help="what the scripts ask for: a word's beginning")
    # The verbs that stand in the tree when it is asked, whichever were added after this one.
    parser.set_defaults(run=run, parser=parser, verbs=verbs.choices)


def run(options: argparse.Namespace) -> int:
    """Print a shell's script, or what a word can become.

    Raises:
        ConfigError: No such shell.
    """
    if (options.shell == WORDS) != (options.word is not None):
        options.parser.error("no shell")
    if options.shell == WORDS:
        text = "".join(
            f"{word}\n" for word in candidates(options.word, group_dirs(), tuple(options.verbs))
        )
    else:
        text = SCRIPTS[options.shell]
    sys.stdout.write(text)
    return 0


def candidates(word: str, groups: Iterable[tuple[str, Path]], verbs: Sequence[str]) -> list[str]:
    """Return the words that ``word`` can become, sorted."""
    found = {*verbs, *FLAGS, *(f"{key}=" for key in _keys(Config, ""))}
    for group, folder in groups:
        found.add(f"{group}=")
        found |= {f"{group}={option.stem}" for option in folder.glob("*.yaml")}
    found |= {f"until={stage}" for stage in STAGE_NAMES}
    found |= {f"force=[{stage}]" for stage in STAGE_NAMES}
    found.add("dry_run=true")
    kept = sorted(item for item in found if item.startswith(word))
    # One step at a time: options are offered once their group is typed.
    return kept if "=" in word else [item for item in kept if item.partition("=")[2] == ""]


def _keys(node: type, prefix: str) -> Iterator[str]:
    for name, kind in typing.get_type_hints(node).items():
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            yield from _keys(kind, f"{prefix}{name}.")
        else:
            yield prefix + name
