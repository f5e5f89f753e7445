"""Own ``normalize``: one spelling of config.json, checked against the declared shape.

transformers 4 writes ``rope_theta``, ``rope_scaling`` and ``torch_dtype``; transformers 5 writes
``rope_parameters`` and ``dtype``. The canonical file has the former, which both can read.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webslm.compiler.architectures import ARCHITECTURES
from webslm.compiler.architectures.support import explain_unsupported
from webslm.errors import StageFailed, WebslmError
from webslm.fs import write_text
from webslm.schema import NormalizeStageConf, ShapeConf
from webslm.stage import Context, Metrics

CONFIG_NAME = "config.json"
GENERATION_NAME = "generation_config.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
OPTIONAL_FILES = ("chat_template.jinja", "special_tokens_map.json", "added_tokens.json")
TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


def run(cfg: NormalizeStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Write the canonical config.json and carry generation and tokenizer files.

    Raises:
        StageFailed: The model type is unknown, the checkpoint does something that no library
            does, its shape is not the declared one, or the tokenizer is incomplete.
    """
    source = inputs["merge"]
    given = _read_json(source / CONFIG_NAME)
    config = canonical(given)
    check_shape(ARCHITECTURES[config["model_type"]].shape(given), cfg.shape)
    ctx.progress.note(f"{config['model_type']}: the checkpoint has the declared shape")
    write_text(out / CONFIG_NAME, _dump(config))
    generation = {key: config[key] for key in TOKEN_IDS if config[key] is not None}
    if (source / GENERATION_NAME).is_file():
        generation = _read_json(source / GENERATION_NAME)
        # The version that wrote the file says nothing about the model.
        generation.pop("transformers_version", None)
    write_text(out / GENERATION_NAME, _dump(generation))
    _carry_tokenizer(source, out)
    return {"model_type": config["model_type"], "fields": len(config)}


def canonical(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the canonical form of a Hugging Face configuration; of a canonical one, itself.

    Raises:
        StageFailed: The model type is unknown, a size is missing, or the model uses something
            that the library does not compute.
    """
    problem = explain_unsupported(config)
    if problem is not None:
        message, hint = problem
        raise StageFailed(f"{CONFIG_NAME}: {message}", hint=hint)
    family = ARCHITECTURES[config["model_type"]]
    try:
        shape = family.shape(config)
    except WebslmError as exc:
        raise StageFailed(exc.message, hint=exc.hint) from exc
    return {
        **family.config(shape),
        "torch_dtype": str(config.get("dtype") or config.get("torch_dtype") or "float32"),
        **{key: config.get(key) for key in TOKEN_IDS},
    }


def check_shape(found: ShapeConf, shape: ShapeConf) -> None:
    """Raise StageFailed naming every field in which a checkpoint's shape is not the declared."""
    fields = dataclasses.asdict(found)
    wrong = [
        f"{key}: checkpoint {fields[key]!r}, base.shape {value!r}"
        for key, value in dataclasses.asdict(shape).items()
        if not _equal(fields[key], value)
    ]
    if wrong:
        raise StageFailed(
            f"the checkpoint is not the declared shape: {'; '.join(wrong)}",
            hint="copy the checkpoint's values to conf/base/NAME.yaml, key shape",
        )


def _equal(found: object, declared: object) -> bool:
    if isinstance(found, dict) and isinstance(declared, dict):
        return all(_equal(found.get(key), value) for key, value in declared.items())
    if isinstance(found, list) and isinstance(declared, list):
        return len(found) == len(declared) and all(map(_equal, found, declared))
    if isinstance(found, float) and isinstance(declared, float):
        return math.isclose(found, declared, rel_tol=1e-9)
    return found == declared


def _carry_tokenizer(source: Path, out: Path) -> None:
    for name in TOKENIZER_FILES:
        if not (source / name).is_file():
            raise StageFailed(
                f"{source}: no {name}",
                hint="a fast tokenizer is needed: save the base's with AutoTokenizer",
            )
        shutil.copyfile(source / name, out / name)
    for name in OPTIONAL_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)
    inline = _read_json(source / "tokenizer_config.json").get("chat_template")
    if not inline and not (source / "chat_template.jinja").is_file():
        raise StageFailed(
            f"{source}: the tokenizer has no chat template",
            hint="choose an instruct or chat base: its template was learnt, none can be made up",
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise StageFailed(f"unreadable {path}: {exc}") from exc
    if not isinstance(value, dict):
        raise StageFailed(f"{path}: not a JSON object")
    return value


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
