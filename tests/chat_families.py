"""Chat templates of the families' kinds, written for tests, with small tokenizers to match.

They have the families' structure (tokens, spaces, trims, where a system message goes), not text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

TURNS = "{% for m in messages %}"
LLAMA3 = (
    "{{- bos_token }}"
    "{%- if messages[0]['role'] == 'system' %}"
    "{%- set system = messages[0]['content'] | trim %}{%- set messages = messages[1:] %}"
    "{%- else %}{%- set system = '' %}{%- endif %}"
    "{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' }}"
    "{{- 'Known until: May 2020\\nToday: ' + strftime_now('%d %b %Y') + '\\n\\n' }}"
    "{{- system + '<|eot_id|>' }}"
    "{%- for m in messages %}"
    "{{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' }}"
    "{{- m['content'] | trim + '<|eot_id|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('there is no system role') }}{% endif %}{% for m in messages %}"
    "{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
    "{{ '<start_of_turn>' + role + '\\n' + m['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
# The system message goes into the newest user turn: other text at every turn.
MISTRAL_LAST = (
    "{{ bos_token }}{% set s = namespace(text='') %}"
    "{% if messages[0]['role'] == 'system' %}{% set s.text = messages[0]['content'] + '\\n\\n' %}"
    "{% set messages = messages[1:] %}{% endif %}{% for m in messages %}"
    "{% if m['role'] == 'user' %}"
    "{{ '[INST] ' + (s.text if loop.last else '') + m['content'] + '[/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL_FIRST = MISTRAL_LAST.replace("loop.last", "loop.first")
# No block says it: later questions are numbered, and contents lose the spaces around them.
NUMBERED = (
    "{% set ns = namespace(turn=0) %}{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\\n' }}{% if m['role'] == 'user' %}"
    "{% set ns.turn = ns.turn + 1 %}"
    "{% if ns.turn > 1 %}{{ 'Question ' ~ ns.turn ~ ': ' }}{% endif %}{% endif %}"
    "{{ m['content'] | trim + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
PHI3 = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + m['content'] + '<|end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}"
    "{% else %}{{ eos_token }}{% endif %}"
)


@dataclass(frozen=True, kw_only=True)
class Family:
    """What a tokenizer of the family is made of."""

    template: str
    specials: tuple[str, ...]
    eos: str
    bos: str | None
    metaspace: bool
    """Whether words begin with a mark for the space before them, as SentencePiece has it."""
    stops: tuple[str, ...]
    """Tokens that must end an answer."""
    fold: str | None = None


FAMILIES = {
    "llama3": Family(
        template=LLAMA3,
        specials=(
            "<|begin_of_text|>",
            "<|end_of_text|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<|eot_id|>",
        ),
        eos="<|end_of_text|>",
        bos="<|begin_of_text|>",
        metaspace=False,
        stops=("<|end_of_text|>", "<|eot_id|>"),
    ),
    "gemma": Family(
        template=GEMMA,
        specials=("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"),
        eos="<eos>",
        bos="<bos>",
        metaspace=True,
        stops=("<eos>", "<end_of_turn>"),
        fold="\n\n",
    ),
    "mistral": Family(
        template=MISTRAL_FIRST,
        specials=("<unk>", "<s>", "</s>", "[INST]", "[/INST]"),
        eos="</s>",
        bos="<s>",
        metaspace=True,
        stops=("</s>",),
    ),
    "phi3": Family(
        template=PHI3,
        specials=(
            *("<unk>", "<s>", "<|endoftext|>", "<|system|>"),
            *("<|user|>", "<|assistant|>", "<|end|>"),
        ),
        eos="<|endoftext|>",
        bos="<s>",
        metaspace=True,
        stops=("<|endoftext|>", "<|end|>"),
    ),
}


CHATML = Family(
    template=NUMBERED,
    specials=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    eos="<|im_end|>",
    bos=None,
    metaspace=False,
    stops=("<|im_end|>",),
)


def write_tokenizer(folder: Path, family: Family, texts: Sequence[str]) -> int:
    """Train and write a tokenizer of the family; return how many entries it has."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=family.metaspace))
    if family.metaspace:
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        )
        alphabet = [f"<0x{byte:02X}>" for byte in range(256)]
        extra: dict[str, Any] = {"special_tokens": [*family.specials, *alphabet]}
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        extra = {
            "special_tokens": list(family.specials),
            "initial_alphabet": sorted(pre_tokenizers.ByteLevel.alphabet()),
        }
    trainer = trainers.BpeTrainer(vocab_size=700, show_progress=False, **extra)
    tokenizer.train_from_iterator(texts, trainer)
    state = json.loads(tokenizer.to_str())
    # The bytes are entries of the vocabulary, not tokens to look for in a text.
    state["added_tokens"] = [t for t in state["added_tokens"] if t["content"] in family.specials]
    (folder / "tokenizer.json").write_text(json.dumps(state), encoding="utf-8")
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": family.bos,
        "eos_token": family.eos,
        "chat_template": family.template,
        "model_max_length": 512,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    generation = {"eos_token_id": tokenizer.token_to_id(family.eos)}
    (folder / "generation_config.json").write_text(json.dumps(generation), encoding="utf-8")
    return tokenizer.get_vocab_size()
