"""Own the questions to a Python that may have mlc_llm: it is run there, and needs nothing of here.

It prints one JSON object: versions by part (null: absent or unknown), and why they do not load.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import platform

MODULES = {"mlc-llm": "mlc_llm", "tvm": "tvm"}
UNKNOWN = "0.1.dev0"
"""What mlc_llm calls itself in a source tree that nobody installed."""


def version(module: str) -> str | None:
    """Import a module and return its version: its own word, else its distribution's."""
    found = getattr(importlib.import_module(module), "__version__", None)
    if found in (None, UNKNOWN):
        names = importlib.metadata.packages_distributions().get(module, [])
        found = importlib.metadata.version(names[0]) if names else None
    return None if found in (None, UNKNOWN) else str(found).split("+")[0]


def main() -> None:
    """Print what is there; without an mlc_llm nothing else is looked at."""
    told: dict[str, str | bool | None] = {
        **dict.fromkeys(MODULES),
        "python": platform.python_version(),
        "there": importlib.util.find_spec("mlc_llm") is not None,
        "error": None,
    }
    for part, module in MODULES.items() if told["there"] else ():
        try:
            told[part] = version(module)
        except Exception as exc:  # noqa: BLE001  whatever a broken build raises is the answer
            told["error"] = f"{type(exc).__name__}: {exc}".split("\n")[0]
    print("\n" + json.dumps(told))  # noqa: T201  its standard output is the answer


if __name__ == "__main__":
    main()
