"""Own the canonical config.json: the same model in one spelling, whatever wrote the given one.

transformers 4 writes ``rope_theta``, ``rope_scaling`` and ``torch_dtype``; transformers 5 writes
``rope_parameters`` and ``dtype``. The canonical file has the former, which both can read. No TVM.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from webslm.basics import model_files
from webslm.basics.errors import ConfigError, StageFailed
from webslm.model.architectures import ARCHITECTURES
from webslm.model.architectures.fields import wrong
from webslm.model.architectures.support import explain_unsupported
from webslm.schema import ShapeConf

TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
DTYPES = ("float32", "float16", "bfloat16", "float64")


def canonical(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the canonical form of a Hugging Face configuration; of a canonical one, itself.

    Raises:
        StageFailed: The model type is unknown, a value is missing or no such value, or the model
            uses something that the library does not compute.
    """
    try:
        problem = explain_unsupported(config)
        if problem is not None:
            message, hint = problem
            raise StageFailed(f"{model_files.CONFIG}: {message}", hint=hint)
        family = ARCHITECTURES[config["model_type"]]
        shape = family.shape(config)
        ids = token_ids(config, shape.vocab_size)
    except ConfigError as exc:
        raise StageFailed(exc.message, hint=exc.hint) from exc
    dtype = config.get("dtype") or config.get("torch_dtype")
    kept = dtype if dtype in DTYPES else "float32"
    return {**family.config(shape), "torch_dtype": kept, **ids}


def token_ids(config: Mapping[str, Any], entries: int) -> dict[str, Any]:
    """Return the ids of start, ends and padding as a configuration has them; None: not there.

    Raises:
        ConfigError: One is no token of a table of ``entries`` rows.
    """
    return {key: _token_id(config, key, entries) for key in TOKEN_IDS}


def _token_id(config: Mapping[str, Any], key: str, entries: int) -> Any:
    """Return a token id, or for ends of answers a list of them; None where there is none.

    No start or padding is told by -1 as well, and padding by ids that a tokenizer got and no
    table: neither is looked up.
    """
    value = config.get(key)
    ids = value if isinstance(value, list) and key == "eos_token_id" else [value]
    if value is None or (key != "eos_token_id" and value not in range(entries)):
        return None
    for found in ids:
        if isinstance(found, bool) or not isinstance(found, int):
            raise wrong(key, value, "a token's number")
        if not 0 <= found < entries:
            raise wrong(key, value, f"one of the {entries} tokens of the embedding table")
    return value


def check_shape(found: ShapeConf, shape: ShapeConf) -> None:
    """Raise StageFailed naming every field in which a checkpoint's shape is not the declared."""
    unlike = differences(found, shape)
    if unlike:
        told = "; ".join(f"{key}: checkpoint {a!r}, base.shape {b!r}" for key, a, b in unlike)
        raise StageFailed(
            f"the checkpoint is not the declared shape: {told}",
            hint="copy the checkpoint's values to conf/base/NAME.yaml, key shape",
        )


def differences(one: ShapeConf, other: ShapeConf) -> list[tuple[str, Any, Any]]:
    """Return (field, value, other value) where two shapes are not equal."""
    fields = dataclasses.asdict(one)
    return [
        (key, fields[key], value)
        for key, value in dataclasses.asdict(other).items()
        if not _equal(fields[key], value)
    ]


def _equal(found: object, declared: object) -> bool:
    if isinstance(found, dict) and isinstance(declared, dict):
        return all(_equal(found.get(key), value) for key, value in declared.items())
    if isinstance(found, list) and isinstance(declared, list):
        return len(found) == len(declared) and all(map(_equal, found, declared))
    if isinstance(found, float) and isinstance(declared, float):
        return math.isclose(found, declared, rel_tol=1e-9)
    return found == declared
