"""Checkpoint folders of a few kilobytes, made without torch: what strangers bring as a base."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from webslm.model.architectures import architecture

Array = npt.NDArray[Any]
Mutation = Callable[[Path], object]
"""Changes a folder, or a file."""
Change = Callable[[dict[str, Any]], object]
"""Changes an object in place."""
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|im_start|>", "<|im_end|>")
ENTRIES = 256 + len(SPECIAL)
CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": ENTRIES,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
    "eos_token_id": ENTRIES - 1,
    "torch_dtype": "float32",
}
GENERATION = {"eos_token_id": [ENTRIES - 1]}
FIRST, SECOND = (f"model-0000{number}-of-00002.safetensors" for number in (1, 2))


def write(folder: Path, **changes: Any) -> Path:
    """Write a whole checkpoint of one file; ``changes`` are keys of its config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {**CONFIG, **changes}
    dump(folder / "config.json", config)
    dump(folder / "generation_config.json", GENERATION)
    write_tokenizer(folder)
    save(folder / "model.safetensors", tensors(config))
    return folder


def tensors(config: Mapping[str, Any], seed: int = 0) -> dict[str, Array]:
    """Return random tensors by the names that transformers gives them."""
    random = np.random.default_rng(seed)
    family = architecture(config["model_type"])
    found: dict[str, Array] = {}
    for parameter in family.parameters(family.shape(config)):
        rows = _rows(config, parameter.sources, parameter.shape[0])
        for source, count in zip(parameter.sources, rows, strict=True):
            shape = (count, *parameter.shape[1:])
            found[source] = random.standard_normal(shape).astype(np.float32)
    return found


def _rows(config: Mapping[str, Any], sources: tuple[str, ...], total: int) -> list[int]:
    """Return how many rows of a joined parameter come from each source."""
    if len(sources) < 3:
        return [total // len(sources)] * len(sources)
    heads, few = config["num_attention_heads"], config["num_key_value_heads"]
    size = total // (heads + 2 * few)
    return [heads * size, few * size, few * size]


def write_tokenizer(folder: Path, added: tuple[str, ...] = (), **settings: Any) -> None:
    """Write a tokenizer of bytes with ChatML's two tokens and ``added`` plain ones."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(letters)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(list(SPECIAL))
    made.add_tokens(list(added))
    made.save(str(folder / "tokenizer.json"))
    words = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": SPECIAL[1]}
    dump(folder / "tokenizer_config.json", {**words, "chat_template": TEMPLATE, **settings})


def save(path: Path, found: Mapping[str, Array]) -> None:
    """Write a safetensors file."""
    save_file(dict(found), path, metadata={"format": "pt"})


def shard(folder: Path) -> dict[str, str]:
    """Turn the one file of a folder into two with an index; return the index's map."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    found = tensors(config)
    (folder / "model.safetensors").unlink()
    where = {name: FIRST if at % 2 else SECOND for at, name in enumerate(found)}
    for shard_name in (FIRST, SECOND):
        save(folder / shard_name, {n: t for n, t in found.items() if where[n] == shard_name})
    dump(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": where})
    return where


def dump(path: Path, value: Any) -> None:
    """Write JSON."""
    path.write_text(json.dumps(value), encoding="utf-8")


def edit(path: Path, change: Change) -> None:
    """Change a JSON object in place."""
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    dump(path, value)


def edited(name: str, change: Change) -> Mutation:
    """Return what changes a JSON file of a folder."""
    return lambda folder: edit(folder / name, change)


def put(key: str, value: Any) -> Change:
    """Return what sets a key."""
    return lambda found: found.update({key: value})


def without(key: str) -> Change:
    """Return what takes a key out."""
    return lambda found: found.pop(key, None)


def each(*changes: Mutation) -> Mutation:
    """Return what does several changes in their order."""

    def done(folder: Path) -> None:
        for change in changes:
            change(folder)

    return done


def on(name: str, change: Mutation) -> Mutation:
    """Return what changes a file of a folder."""
    return lambda folder: change(folder / name)
