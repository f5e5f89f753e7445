"""Own the verb ``doctor``: a machine or a dataset looked at."""

from __future__ import annotations

import argparse
from typing import Any


def add(verbs: Any) -> None:
    """Add the verb's words."""
    parser = verbs.add_parser("doctor", hint="python -m webslm doctor GROUP=OPTION KEY=VALUE")
    parser.add_argument("words", nargs="*")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run ``doctor [GROUP=OPTION] [KEY=VALUE]``: 3 where something needed is missing.

    ``doctor data=FILE`` looks at a dataset instead: 2 where its rows cannot be used.
    """
    from webslm.basics.screen import Screen
    from webslm.cli.dataset_doctor import asked, diagnose, overrides
    from webslm.config.compose import compose

    words = options.words
    if asked(words):
        diagnose(Screen(), compose(overrides(words)))
        return 0
    from webslm.cli.doctor import examine, show

    findings = examine(compose(words))
    show(Screen(), findings)
    return 3 if any(finding.state == "missing" for finding in findings) else 0
