"""Own the verb ``serve``: its words, and the line that tells where the site is."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from webslm.basics.errors import ConfigError
from webslm.basics.screen import say
from webslm.bundle.serve import serve


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(
            f"serve: {message}", hint="python -m webslm serve outputs/NAME/bundle --port 8000"
        )


def main(argv: Sequence[str]) -> int:
    """Run the ``serve`` verb; return its exit code.

    Raises:
        ConfigError: A bad argument, or a folder that is no bundle.
        EnvironmentMismatch: The address cannot be used.
    """
    parser = _Parser(prog="webslm serve", description="Serve a bundle on this machine.")
    parser.add_argument("folder", type=Path, help="outputs/NAME/bundle")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="port; 0 takes a free one")
    options = parser.parse_args(argv)

    def ready(url: str) -> None:
        config = json.loads((options.folder / "webslm.json").read_text(encoding="utf-8"))
        say(f"{config['title']}: {url}  (Ctrl-C stops)")
        sys.stdout.flush()

    serve(options.folder, options.host, options.port, ready=ready)
    return 0
