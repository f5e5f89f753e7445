"""Print what webslm needs to plan, check and serve, and pytest: pyproject's pins, no toolchain."""

from __future__ import annotations

import sys
from pathlib import Path

import tomllib

text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
project = tomllib.loads(text)["project"]
light = [word for word in project["dependencies"] if not word.startswith("webslm[")]
light += [word for word in project["optional-dependencies"]["dev"] if word.startswith("pytest==")]
sys.stdout.write("".join(f"{word}\n" for word in light))
