"""Own the tokenizer entries that an embedding table has no row for: found, left out, refused.

A tokenizer may name more tokens than its model has (Gemma 3's text models: ``<image_soft_token>``;
padding that a fine-tune added). Such a token cannot be looked up: it is left out, so that the same
letters are plain text for training and page alike, unless something needs it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from webslm.basics.errors import StageFailed
from webslm.basics.fs import read_object, read_utf8, write_text
from webslm.basics.model_files import TEMPLATE, TOKENIZER, TOKENIZER_CONFIG, TOKENIZER_SIDE_FILES

NEEDED = {"eos_token": "ends answers", "bos_token": "starts prompts"}
NAMED = 3


def beyond(folder: Path, rows: int) -> dict[str, int]:
    """Return the added tokens of a folder's tokenizer that a table of ``rows`` rows lacks, by text.

    Raises:
        StageFailed: The tokenizer cannot be read, or ordinary entries are beyond the table: it is
            another model's.
    """
    document = read_object(folder / TOKENIZER)
    added = {text: number for text, number in _added(document) if number >= rows}
    ordinary = [n for text, n in _entries(document) if n >= rows and text not in added]
    if ordinary:
        raise StageFailed(
            f"{folder / TOKENIZER}: {len(ordinary)} of its entries have no row in the embedding "
            f"table of {rows} (the highest is {max(ordinary)})",
            hint="take the tokenizer that belongs to these weights",
        )
    return added


def check_unused(lacking: Mapping[str, int], texts: Iterable[tuple[str, str]], rows: int) -> None:
    """Check that no text needs a token which the table lacks.

    Args:
        lacking: As ``beyond`` returns it.
        texts: (where, text) of what will be read by the model.
        rows: Rows of the table.

    Raises:
        StageFailed: Names the place and the token.
    """
    for where, text in texts if lacking else ():
        found = next((token for token in lacking if token in text), None)
        if found is not None:
            raise StageFailed(
                f"{where} uses {found}, token {lacking[found]}, and the embedding table has rows "
                f"for tokens 0 to {rows - 1}",
                hint="take it out there, or a checkpoint whose table was enlarged for it",
            )


def check_named(folder: Path, lacking: Mapping[str, int], rows: int) -> None:
    """Check that neither the template nor the tokenizer's own ends need a lacking token.

    Raises:
        StageFailed: One does.
    """
    config = read_object(folder / TOKENIZER_CONFIG)
    named = [
        (f"{TOKENIZER_CONFIG}: {key} ({what})", _text(config.get(key)))
        for key, what in NEEDED.items()
    ]
    templates = [
        (
            f"{TOKENIZER_CONFIG}: the chat template",
            json.dumps(config.get("chat_template")),
        )
    ]
    apart = folder / TEMPLATE
    if apart.is_file():
        templates.append((apart.name, read_utf8(apart)))
    check_unused(lacking, [*named, *templates], rows)


def leave_out(folder: Path, lacking: Mapping[str, int]) -> None:
    """Take tokens out of every tokenizer file of a folder."""
    if not lacking:
        return
    document = read_object(folder / TOKENIZER)
    document["added_tokens"] = [
        entry for entry in document.get("added_tokens", []) if entry["content"] not in lacking
    ]
    vocabulary = document["model"].get("vocab")
    if isinstance(vocabulary, dict):
        document["model"]["vocab"] = {t: n for t, n in vocabulary.items() if t not in lacking}
    elif isinstance(vocabulary, list):
        document["model"]["vocab"] = [entry for entry in vocabulary if entry[0] not in lacking]
    _write(folder / TOKENIZER, document)
    for name in (TOKENIZER_CONFIG, *TOKENIZER_SIDE_FILES):
        if (folder / name).is_file():
            _write(folder / name, _without(read_object(folder / name), lacking))


def _without(value: Any, lacking: Mapping[str, int]) -> Any:
    """Return JSON without the tokens: as keys, as texts, as entries that hold their text."""
    if isinstance(value, dict):
        return {
            key: _without(item, lacking)
            for key, item in value.items()
            if key not in lacking and _text(item) not in lacking
        }
    if isinstance(value, list):
        return [_without(item, lacking) for item in value if _text(item) not in lacking]
    return value


def _text(value: Any) -> str:
    """Return the text of a token as tokenizer files write it: plain, or as an entry."""
    found = value.get("content") if isinstance(value, dict) else value
    return found if isinstance(found, str) else ""


def _write(path: Path, value: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _added(document: Mapping[str, Any]) -> list[tuple[str, int]]:
    entries = document.get("added_tokens") or []
    try:
        return [(str(entry["content"]), int(entry["id"])) for entry in entries]
    except (TypeError, KeyError, ValueError) as exc:
        raise _broken("added_tokens") from exc


def _entries(document: Mapping[str, Any]) -> Iterable[tuple[str, int]]:
    model = document.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    try:
        if isinstance(vocabulary, dict):
            return [(str(text), int(number)) for text, number in vocabulary.items()]
        return [(str(entry[0]), number) for number, entry in enumerate(vocabulary or ())]
    except (TypeError, KeyError, ValueError, IndexError) as exc:
        raise _broken("model.vocab") from exc


def _broken(key: str) -> StageFailed:
    return StageFailed(f"{TOKENIZER}: {key} is not a tokenizer's", hint="fetch or save it again")
