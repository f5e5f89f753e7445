"""Own ``normalize``: one spelling of config.json, checked against the declared shape."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webslm.basics import model_files
from webslm.basics.errors import StageFailed
from webslm.basics.fs import read_object, write_text
from webslm.basics.stage import Context, Metrics
from webslm.model.architectures import ARCHITECTURES
from webslm.model.architectures.canonical import TOKEN_IDS, canonical, check_shape
from webslm.schema import NormalizeStageConf

OPTIONAL_FILES = (model_files.TEMPLATE, "special_tokens_map.json", "added_tokens.json")


def run(cfg: NormalizeStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Write the canonical config.json and carry generation and tokenizer files.

    Raises:
        StageFailed: The model type is unknown, the checkpoint does something that no library
            does, its shape is not the declared one, or the tokenizer is incomplete.
    """
    source = inputs["merge"]
    given = read_object(source / model_files.CONFIG)
    config = canonical(given)
    check_shape(ARCHITECTURES[config["model_type"]].shape(given), cfg.shape)
    ctx.progress.note(f"{config['model_type']}: the checkpoint has the declared shape")
    write_text(out / model_files.CONFIG, _dump(config))
    generation = {key: config[key] for key in TOKEN_IDS if config[key] is not None}
    if (source / model_files.GENERATION).is_file():
        generation = read_object(source / model_files.GENERATION)
        # The version that wrote the file says nothing about the model.
        generation.pop("transformers_version", None)
    write_text(out / model_files.GENERATION, _dump(generation))
    _carry_tokenizer(source, out)
    return {"model_type": config["model_type"], "fields": len(config)}


def _carry_tokenizer(source: Path, out: Path) -> None:
    for name in model_files.TOKENIZER_FILES:
        if not (source / name).is_file():
            raise StageFailed(
                f"{source}: no {name}",
                hint="a fast tokenizer is needed: save the base's with AutoTokenizer",
            )
        shutil.copyfile(source / name, out / name)
    for name in OPTIONAL_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)
    inline = read_object(source / model_files.TOKENIZER_CONFIG).get("chat_template")
    if not inline and not (source / model_files.TEMPLATE).is_file():
        raise StageFailed(
            f"{source}: the tokenizer has no chat template",
            hint="choose an instruct or chat base: its template was learnt, none can be made up",
        )


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
