"""The published schema of locks, for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonschema

from webslm.basics.paths import PACKAGE
from webslm.engine.lock.file import SCHEMA


def schema_errors(lock: Mapping[str, Any]) -> list[str]:
    """Return where a lock breaks the schema that the package publishes."""
    path = PACKAGE / "engine" / "lock" / "schemas" / f"lock-{SCHEMA}.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    found = jsonschema.Draft202012Validator(schema).iter_errors(lock)
    return [error.json_path for error in found]
