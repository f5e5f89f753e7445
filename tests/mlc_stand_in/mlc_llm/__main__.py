"""Entry: ``python -m mlc_llm convert_weight|gen_config|compile``, recorded word by word.

``MLC_STAND_IN_RECORD`` names the record; ``MLC_STAND_IN_LIBRARY`` a library that ``compile``
copies instead of making one; ``MLC_STAND_IN_SAYS`` what it says before it ends with code 1.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from pathlib import Path

from . import work
from .flags import parser

COMMANDS = ("compile", "convert_weight", "gen_config")


def main() -> None:
    """Do what the words say."""
    release = ".".join(importlib.metadata.version("mlc-llm").split(".")[:2])
    command, *words = sys.argv[1:]
    if command not in COMMANDS:
        sys.exit(f"invalid choice: {command!r}")
    record = os.environ.get("MLC_STAND_IN_RECORD")
    if record:
        with Path(record).open("a", encoding="utf-8") as file:
            file.write(json.dumps([command, *words]) + "\n")
    parsed = parser(command, release).parse_args(words)
    said = os.environ.get("MLC_STAND_IN_SAYS", "")
    told, _, text = said.partition("|")
    if told == command:
        sys.exit(text)
    getattr(work, command)(parsed, release)


if __name__ == "__main__":
    main()
