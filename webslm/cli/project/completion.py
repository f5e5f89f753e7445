"""Own shell completion: the scripts for the shells, and the words that can come next."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from webslm.basics.errors import ConfigError
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


def answer(words: Sequence[str], groups: Iterable[tuple[str, Path]], verbs: Sequence[str]) -> str:
    """Return what ``webslm completion ...`` prints.

    Args:
        words: ``[SHELL]`` for its script, or ``["words", "--", WORD]`` for what WORD can become.
        groups: Groups with folders of their options, shipped ones and the user's.
        verbs: First words that are commands.

    Raises:
        ConfigError: No such shell.
    """
    if len(words) == 3 and words[:2] == ["words", "--"]:
        return "".join(f"{word}\n" for word in candidates(words[2], groups, verbs))
    if len(words) != 1 or words[0] not in SCRIPTS:
        shells = ", ".join(SCRIPTS)
        raise ConfigError(
            "completion: name a shell",
            hint=f'one of {shells}, such as: eval "$(webslm completion bash)"',
        )
    return SCRIPTS[words[0]]


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
