"""Own which files of a folder are its weights: one rule for every reader, transformers' own.

``model.safetensors`` where it is there, else the shards that its index names. Whatever else looks
like weights is not read, and told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from webslm.basics.errors import StageFailed
from webslm.basics.fs import read_object
from webslm.basics.model_files import ADAPTER_CONFIG, WEIGHTS, WEIGHTS_INDEX, WEIGHTS_SUFFIX

WEIGHT_LIKE = (
    *("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "pytorch_model*.json"),
    *("consolidated*", "*.gguf", "model*.bin", "*.ckpt", "tf_model.h5", "flax_model.msgpack"),
)
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
PART = re.compile(r"-\d+-of-\d+\.safetensors$")
SAVE = (
    "from transformers import AutoModelForCausalLM as M; "
    "M.from_pretrained('{folder}').save_pretrained('{folder}')"
)
NOT_WEIGHTS = ("training_args.bin", "optimizer.", "scheduler.", "rng_state", "scaler.")
"""How names begin that a trainer leaves beside a model."""


@dataclass(frozen=True, kw_only=True)
class WeightFiles:
    """The files of a folder's weights."""

    names: tuple[str, ...]
    """The safetensors files, in order."""
    weight_map: Mapping[str, str] | None
    """Tensor name to file name as the index says; None: one file."""
    unread: tuple[str, ...]
    """Files that look like weights and are not."""


def find_weights(folder: Path) -> WeightFiles:
    """Return which files hold a folder's weights.

    Raises:
        StageFailed: There are none, or the index is broken or names a file that is not there.
    """
    weight_map: dict[str, str] | None = None
    names: tuple[str, ...] = (WEIGHTS,)
    used = {WEIGHTS}
    if not (folder / WEIGHTS).is_file():
        if not (folder / WEIGHTS_INDEX).is_file():
            raise _no_weights(folder)
        weight_map = _read_index(folder / WEIGHTS_INDEX)
        names = tuple(sorted(set(weight_map.values())))
        used = {*names, WEIGHTS_INDEX}
    lost = [name for name in names if not (folder / name).is_file()]
    if lost:
        raise StageFailed(
            f"{WEIGHTS_INDEX} names {', '.join(lost[:3])}{' and more' if lost[3:] else ''}, "
            f"and {folder} has no such file",
            hint="copy or fetch the missing shards",
        )
    alike = {path.name for pattern in WEIGHT_LIKE for path in folder.glob(pattern)}
    return WeightFiles(
        names=names, weight_map=weight_map, unread=tuple(sorted(alike - used, key=str))
    )


def _read_index(path: Path) -> dict[str, str]:
    """Return tensor name to file name; every file lies in the folder itself."""
    weight_map = read_object(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise StageFailed(f"unreadable {path}: it has no weight_map", hint="fetch it again")
    for name, file_name in weight_map.items():
        inside = isinstance(file_name, str) and file_name not in ("", ".", "..")
        if not inside or set(file_name) & set("/\\:\0"):
            raise StageFailed(f"{path.name}: {name} points outside the folder: {file_name!r}")
        if not file_name.endswith(WEIGHTS_SUFFIX):
            raise StageFailed(
                f"{path.name}: {file_name} is no safetensors file", hint="fetch the index again"
            )
    return weight_map


def _no_weights(folder: Path) -> StageFailed:
    """Return the sentence for a folder without weights that can be read, by what is there."""
    found = sorted(path.name for path in folder.iterdir() if path.is_file())
    here = [name for name in found if name.endswith(WEIGHTS_SUFFIX)]
    if ADAPTER_CONFIG in found:
        return StageFailed(
            f"{folder} holds an adapter and no model",
            hint=f"name the base it was trained on, and finetune=adapter adapter.path={folder}",
        )
    if any(name.startswith("consolidated") for name in found):
        return StageFailed(
            f"{folder} has weights in the publisher's own layout (consolidated.*), and no "
            f"{WEIGHTS}",
            hint="take the files that transformers reads (model*.safetensors) of the same model",
        )
    if len(here) == 1 and not PART.search(here[0]):
        return StageFailed(
            f"{folder} has no {WEIGHTS}, and {here[0]} is no name that transformers looks for",
            hint=f"if it holds all weights, rename it to {WEIGHTS}",
        )
    if here:
        return StageFailed(
            f"{folder} has parts of the weights ({here[0]}) and no {WEIGHTS_INDEX}",
            hint="copy the index from where they came from, and the parts that are not here",
        )
    gguf = [name for name in found if name.endswith(".gguf")]
    if gguf:
        return StageFailed(
            f"{folder} has no {WEIGHTS} but {gguf[0]}",
            hint=f"base=gguf base.path={folder / gguf[0]}",
        )
    if _pickled(folder):
        return StageFailed(
            f"{folder} has pickled weights only, which can run code when they are read",
            hint=f'save them as safetensors: python -c "{SAVE.format(folder=folder)}"',
        )
    return StageFailed(
        f"{folder} has no {WEIGHTS}",
        hint="save model and fast tokenizer with save_pretrained (safetensors)",
    )


def _pickled(folder: Path) -> bool:
    found = {path.name for pattern in PICKLES for path in folder.glob(pattern)}
    return any(not name.startswith(NOT_WEIGHTS) for name in found)
