"""Own what ``--help`` prints."""

from __future__ import annotations

import os

from webslm import __version__
from webslm.basics.paths import group_dirs

HELP = """webslm {version}: a chat dataset and a small model to an assistant in a browser.

  python -m webslm [GROUP=OPTION] [KEY=VALUE] ...   build, prove, lock
  python -m webslm serve FOLDER [--port N]          serve a bundle on this machine
  python -m webslm publish FOLDER publish=TARGET    to a folder, pages, the hub, a release
  python -m webslm lock check FOLDER                hash an output again
  python -m webslm lock diff A B                    why two builds differ
  python -m webslm lock reproduce FOLDER            build it again, compare every byte
  python -m webslm lock upgrade FOLDER runtime=ROW  other versions, rebuilding what must be
  python -m webslm recipe freeze FOLDER [FILE]      a lock as a recipe with exact pins
  python -m webslm doctor [GROUP=OPTION] ...        what this machine lacks, and what to type
  python -m webslm doctor data=FILE [...]           what is wrong with your rows, before training
  python -m webslm --cfg job [...]                  show the whole configuration
  python -m webslm -m GROUP=A,B [...]               build every combination
  python -m webslm --config-dir DIR [...]           find your own DIR/<group>/<option>.yaml
  python -m webslm cache list|verify|gc|export|import  look after the store of finished steps
  python -m webslm init FOLDER                      start a project: recipe, rows, CI workflow
  eval "$(webslm completion bash)"                  complete words (also zsh, fish)

groups
{groups}

often used keys
  data.path=FILE         your rows (JSONL, JSON, CSV, Parquet or a folder) instead of the domain's
  output_dir=FOLDER      where the site, the lock and the report go (outputs/NAME)
  dry_run=true           print the plan: keys, hits, downloads, past times; do nothing
  explain=STAGE          say why a stage will run and what changed, do nothing
  until=STAGE            stop after a stage
  from=STAGE             run a stage and all after it again
  only=STAGE             build one stage; what it reads must be stored
  keep_going=true        a failed stage ends only what reads it
  force=[STAGE,...]      run stages again although they are stored
  seed=N                 one seed for the split, training and decoding proofs

stages
  {stages}

exit codes
  0 built and proven   1 a bug   2 configuration or dataset   3 machine   4 a stage
  5 the proof failed   6 a file is not what the lock says   7 publishing   130 interrupted
"""


def help_text() -> str:
    """Return the help, with the options found in the configuration folder."""
    from webslm.engine.table import STAGE_NAMES

    groups: dict[str, set[str]] = {}
    for group, folder in group_dirs():
        options = {entry.name[:-5] for entry in os.scandir(folder) if entry.name.endswith(".yaml")}
        groups[group] = groups.get(group, set()) | options
    lines = [f"  {name:<9} {', '.join(sorted(groups[name]))}" for name in sorted(groups)]
    return HELP.format(
        version=__version__, groups="\n".join(lines), stages=" -> ".join(STAGE_NAMES)
    )
