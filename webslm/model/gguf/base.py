"""Own writing a GGUF file's model as a checkpoint folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from webslm.basics import model_files
from webslm.basics.errors import StageFailed
from webslm.basics.fs import write_text
from webslm.model.gguf import tensors as gguf_weights
from webslm.model.gguf import tokenizer as gguf_tokenizer
from webslm.model.gguf.model import Model
from webslm.model.gguf.weights import storage_counts

SAMPLE = (
    "The nurse said: \u201cdon't wait 10 minutes\u201d.\n\tCall 911, caf\u00e9 "
    "\u4f60\u597d \U0001f600 x_1."
)
"""Text that every tokenizer must give back."""


def write(model: Model, folder: Path, scratch: Path, report: gguf_weights.Report) -> dict[str, Any]:
    """Write weights, configuration and tokenizer to ``folder``; return facts for ``base.json``.

    Args:
        model: What to write.
        folder: An empty folder.
        scratch: Where a file in an archive is unpacked.
        report: Told (done, all, text).

    Raises:
        StageFailed: A number is not finite, the file ends early, or the tokenizer loses text.
    """
    vocabulary = model.vocabulary
    write_text(
        folder / model_files.CONFIG, _dump({**model.config, "architectures": [model.causal_lm]})
    )
    length = model.shape.max_position_embeddings
    gguf_tokenizer.save(vocabulary, model.shape.model_type, folder, max_length=length)
    check_tokenizer(folder)
    generation: dict[str, Any] = {"eos_token_id": list(vocabulary.stops)}
    for name in ("bos", "pad"):
        if name in vocabulary.special:
            generation[f"{name}_token_id"] = vocabulary.special[name]
    write_text(folder / model_files.GENERATION, _dump(generation))
    with model.location.on_disk(scratch) as file:
        count = gguf_weights.write(file, model.sources, folder / model_files.WEIGHTS, report)
    return {
        "id": model.title or model.location.file_name,
        "parameters": count,
        "gguf": {
            "file": model.location.file_name,
            "sha256": model.location.digest(),
            "storage": storage_counts(model.sources),
            "templates_left": list(vocabulary.other_templates),
        },
    }


def check_tokenizer(folder: Path) -> None:
    """Raise StageFailed unless text survives the written tokenizer, in both readers alike."""
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    page = Tokenizer.from_file(str(folder / model_files.TOKENIZER))
    trained: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    ids = page.encode(SAMPLE, add_special_tokens=False).ids
    if trained(SAMPLE, add_special_tokens=False)["input_ids"] != ids:
        raise StageFailed("base: transformers reads the file's tokenizer otherwise than the page")
    if page.decode(ids) != SAMPLE:
        raise StageFailed(
            f"base: the file's tokenizer gives back {page.decode(ids)!r} for {SAMPLE!r}",
            hint="its vocabulary lacks characters or is cut by another rule: take another file",
        )


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"
