"""Own what the page is told of a build: questions to compare with, documents, its model card.

Every value comes from the configuration or from what a stage measured; nothing is worded here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webslm.basics import artifact_files
from webslm.basics.encoding import is_whole, read_text
from webslm.basics.errors import ConfigError, StageFailed
from webslm.rows import artifact
from webslm.rows.artifact import read_rows
from webslm.rows.dataset import Row
from webslm.rows.picks import evenly_spaced
from webslm.schema import Align, BundleStageConf, Finetune

METHODS = {
    Finetune.lora: "LoRA",
    Finetune.dora: "DoRA",
    Finetune.qlora: "QLoRA",
    Finetune.full: "all weights",
    Finetune.adapter: "an adapter trained elsewhere",
}
"""What people call them."""

LONGEST_STARTER = 100
"""Characters of a question that the page offers by itself."""

# Byte-level vocabularies write a byte below 33 as the letter 256 places up.
BYTE_LEVEL_BLANK = re.compile("[\u0120\u010a\u0109\u010d]")
BLANK = re.compile(r"[\u2581 \n\t\r]|<0x(?:20|0A|09|0D)>")


def comparison(data: Path, count: int) -> list[dict[str, Any]]:
    """Return questions of both splits with reference answers, ``count`` of each at most.

    Args:
        data: The data stage's folder.
        count: Questions per split.
    """
    found = []
    for name, trained in ((artifact.TRAIN, True), (artifact.HELD_OUT, False)):
        path = data / name
        rows: list[Row] = read_rows(path)
        rows = [row for row in rows if row.opens_learnt]
        found += [
            {
                "text": rows[index].questions[0],
                "reference": rows[index].answers[0],
                "trained": trained,
            }
            for index in evenly_spaced(len(rows), count)
        ]
    return found


def starters(train: Path, count: int = 4) -> list[str]:
    """Return first questions of training rows that are short enough for a button, evenly spaced."""
    asked = [row.questions[0].strip() for row in read_rows(train)]
    short = [text for text in asked if len(text) <= LONGEST_STARTER and "\n" not in text]
    return [short[index] for index in evenly_spaced(len(short), count)]


def documents(path: Path) -> list[dict[str, str]]:
    """Return the knowledge documents, checked.

    Raises:
        ConfigError: The file is not a list of {id, title, content} texts.
    """
    wanted = ("id", "title", "content")
    try:
        value = json.loads(read_text(path))
    except (ValueError, RecursionError) as exc:
        raise ConfigError(
            f"domain.knowledge_path: {path.name}: not JSON: {exc}",
            hint="a list of {id, title, content}, all texts",
        ) from exc
    items: list[Any] = value if isinstance(value, list) else [None]
    for number, item in enumerate(items, start=1):
        if not isinstance(item, dict) or not all(isinstance(item.get(k), str) for k in wanted):
            raise ConfigError(
                f"domain.knowledge_path: {path.name}: document {number} is not whole",
                hint="a list of {id, title, content}, all texts",
            )
        if not all(is_whole(item[key]) for key in wanted):
            raise ConfigError(
                f"domain.knowledge_path: {path.name}: document {number} holds half a surrogate "
                "pair",
                hint="write the character itself",
            )
    return [{key: item[key] for key in wanted} for item in items]


def row_documents(train: Path) -> list[dict[str, str]]:
    """Return training rows as documents, each its first question with the answer to it."""
    return [
        {"id": f"row-{number}", "title": row.questions[0], "content": row.answers[0]}
        for number, row in enumerate(read_rows(train), start=1)
    ]


def special_tokens(tokenizer: Path) -> list[str]:
    """Return the texts that the tokenizer turns into control tokens, longest first."""
    added = json.loads(tokenizer.read_text(encoding="utf-8")).get("added_tokens", [])
    return sorted({str(token["content"]) for token in added}, key=lambda text: (-len(text), text))


def blank_tokens(tokenizer: Path) -> list[int]:
    """Return the ids of tokens that are white space and nothing else, in order.

    JSON allows any amount of it between values, where a small model can stay for ever.
    """
    value = json.loads(tokenizer.read_text(encoding="utf-8"))
    vocabulary = value["model"]["vocab"]
    # Unigram models list [text, score]; the others map a text to its id.
    entries = (
        vocabulary.items()
        if isinstance(vocabulary, dict)
        else ((text, index) for index, (text, _) in enumerate(vocabulary))
    )
    blank = BYTE_LEVEL_BLANK if '"ByteLevel"' in json.dumps(value["decoder"]) else BLANK
    return sorted(index for text, index in entries if text and not blank.sub("", text))


def card(cfg: BundleStageConf, inputs: Mapping[str, Path]) -> dict[str, Any]:
    """Return the model card's facts.

    Raises:
        StageFailed: An input is not what its stage writes.
    """
    try:
        stats = _read(inputs["data"] / artifact.STATS)
        converted = _read(inputs["convert"] / artifact_files.CONVERSION)
        return {
            "base": {
                "name": cfg.card.base,
                "id": cfg.card.base_id,
                "commit": cfg.card.base_commit,
                "origin": cfg.card.base_origin,
                "licence": cfg.card.licence,
            },
            "data": {"train": stats["train"], "held_out": stats["held_out"]},
            "training": _training(cfg, inputs),
            "weights": {
                "format": cfg.quant.name,
                "bytes": converted["bytes"],
                "worst_rms_relative_error": max(
                    row["rms_relative_error"] for row in converted["tensors"]
                ),
            },
            "evaluation": _evaluation(inputs),
            "runtime": {"row": cfg.runtime.name, "web_llm": cfg.runtime.web_llm},
        }
    except (OSError, ValueError, KeyError, IndexError) as exc:
        raise StageFailed(f"model card: {type(exc).__name__}: {exc}") from exc


def _training(cfg: BundleStageConf, inputs: Mapping[str, Path]) -> dict[str, Any] | None:
    """Return how the base was tuned; None: it was not."""
    if "finetune" not in inputs:
        return None
    log = _read(inputs["finetune"] / artifact_files.TRAIN_LOG)
    method, lora = cfg.card.method, cfg.card.lora
    named = METHODS[method] + (", then DPO" if cfg.card.align is Align.dpo else "")
    if method is Finetune.adapter:
        found = log["adopted"]
        return {"method": named, "r": found["rank"], "alpha": found["alpha"], "steps": 0}
    ranked = method is not Finetune.full
    return {
        "method": named,
        "r": lora.r if ranked else None,
        "alpha": lora.alpha if ranked else None,
        "epochs": log["epochs"],
        "learning_rate": lora.learning_rate,
        "steps": log["steps"],
        "first_loss": log["loss"][0][1],
        "last_loss": log["loss"][-1][1],
        "seed": cfg.card.seed,
    }


def _evaluation(inputs: Mapping[str, Path]) -> dict[str, Any] | None:
    """Return what the survival report measured; None: the build has none."""
    if "evaluate" not in inputs:
        return None
    found = _read(inputs["evaluate"] / artifact_files.EVALUATION)
    kept = ("steps", "n", "seed", "confidence", "results", "sentences")
    return {key: found[key] for key in kept}


def _read(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value
