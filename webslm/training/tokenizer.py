"""Own the tiny base's tokenizer: train a byte-level BPE and write its files. Know no model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from webslm.basics import model_files
from webslm.basics.errors import ConfigError
from webslm.basics.fs import write_text

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
TEXT_END = "<|endoftext|>"
SPECIAL = (TEXT_END, TURN_START, TURN_END)
"""Special tokens in the order of their ids, from 0."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def train(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train a byte-level BPE of exactly ``vocab_size`` entries, special tokens included.

    Raises:
        ConfigError: The text is too small for so many entries.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    tokenizer = Tokenizer(models.BPE())
    # transformers reads a Qwen2 checkpoint's vocabulary by its own rules, whatever tokenizer.json
    # says; the page reads tokenizer.json. Both must cut text alike.
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    found = tokenizer.get_vocab_size()
    if found != vocab_size:
        raise ConfigError(
            f"base.shape.vocab_size: {vocab_size} entries asked, the text gives {found}",
            hint=f"set base.shape.vocab_size={found} or add text to base.tiny.text_paths",
        )
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path, *, max_length: int) -> None:
    """Write ``tokenizer.json`` and a ``tokenizer_config.json`` that holds the chat template.

    The second file is written here, not by transformers, so that its bytes do not follow that
    library's version.
    """
    write_text(folder / model_files.TOKENIZER, tokenizer.to_str(pretty=True) + "\n")
    tokens = {
        str(index): {
            "content": token,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": True,
        }
        for index, token in enumerate(SPECIAL)
    }
    config = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": tokens,
        "additional_special_tokens": [TURN_START, TURN_END],
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": TURN_END,
        "model_max_length": max_length,
        "pad_token": TEXT_END,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    write_text(folder / model_files.TOKENIZER_CONFIG, json.dumps(config, indent=2) + "\n")


def render(messages: Sequence[dict[str, str]]) -> str:
    """Return the ChatML text of a conversation, as ``CHAT_TEMPLATE`` gives it."""
    return "".join(f"{TURN_START}{m['role']}\n{m['content']}{TURN_END}\n" for m in messages)
