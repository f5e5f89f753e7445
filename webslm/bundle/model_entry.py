"""Own what the page knows of a model: its files, its libraries, their sizes and digests."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from webslm.basics import artifact_files, model_files
from webslm.basics.errors import StageFailed
from webslm.basics.keys import file_digest
from webslm.bundle import delivery
from webslm.compiler.wasm.contract import contract_of
from webslm.model.weights.format import SHORT_DTYPES, required_features
from webslm.schema import BundleStageConf


def model_entry(
    out: Path, url: str, libraries: Sequence[Path], cfg: BundleStageConf
) -> dict[str, Any]:
    """Return what the page must know of a model, with digests of all that it downloads.

    ``files`` and ``library`` are checked by the page's own download; ``integrity`` (config,
    library, tokenizer) once more by web-llm, which offers nothing for weights. ``memory`` holds
    the library's own plan, in bytes, for the check before the download.

    Args:
        out: The site.
        url: Where the model's files lie in it.
        libraries: The format's own, then any that computes in another type. With several,
            ``libs`` holds what each of them changes of the entry, fastest first; the entry itself
            describes the first, which asks least of a chip.
        cfg: The stage's configuration.
    """
    folder = out / url
    chat_config = read_json(folder, model_files.CHAT_CONFIG)
    index = contract_of(cfg.runtime.web_llm).tensor_index
    shards = [record["dataPath"] for record in read_json(folder, index)["records"]]
    integrity = {
        "config": _sri(folder / model_files.CHAT_CONFIG),
        "tokenizer": {model_files.TOKENIZER: _sri(folder / model_files.TOKENIZER)},
    }
    described = [_library(path, integrity, cfg) for path in libraries]
    several = {"libs": described[::-1]} if len(described) > 1 else {}
    kept = [model_files.CHAT_CONFIG, model_files.TOKENIZER, index, *shards]
    return {
        "url": url,
        **described[0],
        "context_window_size": chat_config["context_window_size"],
        "files": [{"path": name, **delivery.entry(folder / name)} for name in kept],
        **several,
    }


def only_library(stage: str, folder: Path) -> Path:
    """Return the library that a stage left in its folder.

    Raises:
        StageFailed: There is none, or there are several.
    """
    found = sorted(folder.glob("library-*.wasm"))
    if len(found) != 1:
        raise StageFailed(f"bundle: {stage} left {len(found)} libraries instead of one")
    return found[0]


def read_json(folder: Path, name: str) -> Any:
    """Return a JSON file of an input.

    Raises:
        StageFailed: It is absent.
    """
    path = folder / name
    if not path.is_file():
        raise StageFailed(f"bundle: {folder.name} has no {name}")
    return json.loads(path.read_text(encoding="utf-8"))


def _library(path: Path, integrity: dict[str, Any], cfg: BundleStageConf) -> dict[str, Any]:
    document = read_json(path.parent, artifact_files.LIBRARY)
    computes = document["metadata"].get("activations", cfg.quant.dtype)
    return {
        "arithmetic": SHORT_DTYPES[computes],
        "lib": f"lib/{path.name}",
        "library": delivery.entry(path),
        "memory": document["memory"],
        "required_features": required_features(computes),
        "integrity": {**integrity, "model_lib": _sri(path)},
    }


def _sri(path: Path) -> str:
    return "sha256-" + base64.b64encode(bytes.fromhex(file_digest(path))).decode()
