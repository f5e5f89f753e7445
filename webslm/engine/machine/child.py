"""Own one stage's run inside another Python: read a request, run, write what came of it."""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
import types
import typing
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from webslm import schema
from webslm.basics.errors import WebslmError
from webslm.basics.fs import write_text
from webslm.basics.stage import Context
from webslm.engine.machine.matrix import check_wheels


def main(request_path: str, answer_path: str) -> None:
    """Do what a request file of ``toolchain.run_stage`` says; a user's error is an answer too."""
    request = json.loads(Path(request_path).read_text(encoding="utf-8"))
    try:
        check_wheels(request["wheels"], "the compiler's own Python")
        answer = {"metrics": _run(request)}
    except WebslmError as exc:
        answer = {
            "error": {"kind": type(exc).__name__, "message": exc.message, "hint": exc.hint},
        }
    write_text(Path(answer_path), json.dumps(answer))


def _run(request: Mapping[str, Any]) -> Any:
    conf = restored(getattr(schema, request["kind"]), request["conf"])
    ctx = Context(cache_dir=Path(request["cache_dir"]), log_dir=Path(request["log_dir"]))
    stage = importlib.import_module(f"webslm.stages.{request['stage']}")
    return stage.run(conf, {}, Path(request["out"]), ctx)


def restored(kind: type[Any], value: Mapping[str, Any]) -> Any:
    """Return a dataclass from its plain JSON; the inverse of ``keys.plain`` for stage confs."""
    hints = typing.get_type_hints(kind)
    return kind(
        **{
            field.name: _restored(hints[field.name], value[field.name])
            for field in dataclasses.fields(kind)
        }
    )


def _restored(hint: Any, value: Any) -> Any:
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        (hint,) = (part for part in typing.get_args(hint) if part is not types.NoneType)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return restored(hint, value)
    if typing.get_origin(hint) is dict:
        item = typing.get_args(hint)[1]
        return {key: _restored(item, part) for key, part in value.items()}
    if typing.get_origin(hint) is list:
        (item,) = typing.get_args(hint)
        return [_restored(item, part) for part in value]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint[value]
    return value


if __name__ == "__main__":
    main(*sys.argv[1:])
