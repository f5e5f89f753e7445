"""Own the verb ``serve``: its words, and the line that tells where the site is."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from webslm.basics.screen import say


def add(verbs: Any) -> None:
    """Add the verb's words."""
    parser = verbs.add_parser(
        "serve", hint="python -m webslm serve outputs/NAME/bundle --port 8000"
    )
    parser.add_argument("folder", type=Path, help="outputs/NAME/bundle")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="port; 0 takes a free one")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C; return the exit code.

    Raises:
        ConfigError: A folder that is no bundle.
        EnvironmentMismatch: The address cannot be used.
    """
    from webslm.bundle.serve import serve

    def ready(url: str) -> None:
        config = json.loads((options.folder / "webslm.json").read_text(encoding="utf-8"))
        say(f"{config['title']}: {url}  (Ctrl-C stops)")
        sys.stdout.flush()

    serve(options.folder, options.host, options.port, ready=ready)
    return 0
