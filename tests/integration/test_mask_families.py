"""Loss masks of ChatML, Llama-3 and Gemma, token by token against text cut by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from tests import training
from tests.chat_families import FAMILIES, Family, write_tokenizer
from webslm.basics.errors import ConfigError, StageFailed
from webslm.model.prompts.ends import stop_ids
from webslm.schema import Loss
from webslm.stages import base
from webslm.training import turns

CHATML = Family(
    template=(
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + "
        "'<|im_end|>' + '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    specials=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    eos="<|im_end|>",
    bos=None,
    metaspace=False,
    stops=("<|im_end|>",),
)
MESSAGES = [
    {"role": "system", "content": "You answer briefly."},
    {"role": "user", "content": "What is salt?"},
    {"role": "assistant", "content": "A mineral.\n\n- it seasons food"},
    {"role": "user", "content": "And 胡椒?"},
    {"role": "assistant", "content": "A dried berry, costs $5."},
    {"role": "user", "content": "Sure?"},
    {"role": "assistant", "content": "Yes."},
]
SYSTEM, ONE, ANSWER_ONE, TWO, ANSWER_TWO, THREE, ANSWER_THREE = (m["content"] for m in MESSAGES)
# (text, whether it carries loss), written out: no template, no code of ours.
EXPECTED: dict[str, list[tuple[str, bool]]] = {
    "chatml": [
        (f"<|im_start|>system\n{SYSTEM}<|im_end|>\n", False),
        (f"<|im_start|>user\n{ONE}<|im_end|>\n<|im_start|>assistant\n", False),
        (f"{ANSWER_ONE}<|im_end|>", True),
        (f"\n<|im_start|>user\n{TWO}<|im_end|>\n<|im_start|>assistant\n", False),
        (f"{ANSWER_TWO}<|im_end|>", True),
        (f"\n<|im_start|>user\n{THREE}<|im_end|>\n<|im_start|>assistant\n", False),
        (f"{ANSWER_THREE}<|im_end|>", True),
        ("\n", False),
    ],
    "llama3": [
        ("<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n", False),
        (f"Known until: May 2020\nToday: 26 Jul 2024\n\n{SYSTEM}<|eot_id|>", False),
        (f"<|start_header_id|>user<|end_header_id|>\n\n{ONE}<|eot_id|>", False),
        ("<|start_header_id|>assistant<|end_header_id|>\n\n", False),
        (f"{ANSWER_ONE}<|eot_id|>", True),
        (f"<|start_header_id|>user<|end_header_id|>\n\n{TWO}<|eot_id|>", False),
        ("<|start_header_id|>assistant<|end_header_id|>\n\n", False),
        (f"{ANSWER_TWO}<|eot_id|>", True),
        (f"<|start_header_id|>user<|end_header_id|>\n\n{THREE}<|eot_id|>", False),
        ("<|start_header_id|>assistant<|end_header_id|>\n\n", False),
        (f"{ANSWER_THREE}<|eot_id|>", True),
    ],
    "gemma": [
        (f"<bos><start_of_turn>user\n{SYSTEM}\n\n{ONE}<end_of_turn>\n", False),
        ("<start_of_turn>model\n", False),
        (f"{ANSWER_ONE}<end_of_turn>", True),
        (f"\n<start_of_turn>user\n{TWO}<end_of_turn>\n<start_of_turn>model\n", False),
        (f"{ANSWER_TWO}<end_of_turn>", True),
        (f"\n<start_of_turn>user\n{THREE}<end_of_turn>\n<start_of_turn>model\n", False),
        (f"{ANSWER_THREE}<end_of_turn>", True),
        ("\n", False),
    ],
}
STOP = {"chatml": "<|im_end|>", "llama3": "<|eot_id|>", "gemma": "<end_of_turn>"}
START = {"chatml": None, "llama3": "<|begin_of_text|>", "gemma": "<bos>"}
BROKEN = {
    # The answer's end is rendered without its stop token.
    "chatml": ("'<|im_end|>' + ", "('' if m['role'] == 'assistant' else '<|im_end|>') + "),
    "llama3": (
        "m['content'] | trim + '<|eot_id|>' }}{%- endfor",
        "m['content'] | trim + ('<|eot_id|>' if m['role'] == 'user' else '') }}{%- endfor",
    ),
    "gemma": (
        "m['content'] | trim + '<end_of_turn>\\n'",
        "m['content'] | trim + ('<end_of_turn>\\n' if m['role'] == 'user' else '\\n')",
    ),
}


def load(folder: Path, name: str) -> Any:
    """Write a tokenizer as the base stage stores it and load it."""
    family = {"chatml": CHATML, **FAMILIES}[name]
    write_tokenizer(folder, family, [m["content"] for m in MESSAGES] * 3)
    base.edit_chat_template(
        training.base_conf(system_fold=family.fold, template_date="26 Jul 2024"), folder
    )
    return AutoTokenizer.from_pretrained(folder)


def encode(
    tokenizer: Any, name: str, messages: list[dict[str, str]], loss: Loss = Loss.assistant_only
) -> turns.EncodedRow:
    stops = frozenset({tokenizer.convert_tokens_to_ids(STOP[name])})
    (row,) = turns.encode(tokenizer, messages, number=1, stops=stops, loss=loss)
    return row


@pytest.mark.parametrize("name", EXPECTED)
def test_mask_is_the_one_cut_by_hand(tmp_path: Path, name: str) -> None:
    tokenizer = load(tmp_path, name)
    row = encode(tokenizer, name, MESSAGES)
    text = "".join(piece for piece, _ in EXPECTED[name])
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    assert row.input_ids == found["input_ids"]
    carries = [loss for piece, loss in EXPECTED[name] for _ in piece]
    labels = [
        token if carries[begin] else turns.IGNORED
        for token, (begin, _) in zip(found["input_ids"], found["offset_mapping"], strict=True)
    ]
    assert row.labels == labels
    for token, (begin, end) in zip(found["input_ids"], found["offset_mapping"], strict=True):
        # No token reaches over an edge of the mask: half of it would be learnt.
        assert len(set(carries[begin:end])) <= 1, tokenizer.decode([token])


@pytest.mark.parametrize("name", EXPECTED)
def test_one_start_token_and_a_trained_stop_token_for_every_answer(
    tmp_path: Path, name: str
) -> None:
    tokenizer = load(tmp_path, name)
    row = encode(tokenizer, name, MESSAGES)
    stop = tokenizer.convert_tokens_to_ids(STOP[name])
    assert [label for label in row.labels if label == stop] == [stop] * 3
    if START[name] is not None:
        assert row.input_ids[0] == tokenizer.bos_token_id
        assert row.input_ids.count(tokenizer.bos_token_id) == 1
        assert row.labels[0] == turns.IGNORED
    tokenizer.bos_token = START[name] or "<|endoftext|>"
    tokenizer.chat_template = tokenizer.bos_token * 2 + tokenizer.chat_template
    with pytest.raises(StageFailed, match=r"begins with the start token .* twice"):
        encode(tokenizer, name, MESSAGES)


@pytest.mark.parametrize("name", EXPECTED)
def test_template_that_ends_no_answer_is_refused(tmp_path: Path, name: str) -> None:
    tokenizer = load(tmp_path, name)
    old, new = BROKEN[name]
    assert old in tokenizer.chat_template
    tokenizer.chat_template = tokenizer.chat_template.replace(old, new)
    with pytest.raises(StageFailed, match=r"row 1, message 3: no stop token follows the answer"):
        encode(tokenizer, name, MESSAGES)


def test_stop_token_of_the_template_counts_though_the_base_does_not_name_it(
    tmp_path: Path,
) -> None:
    """Llama-3 base models name the end of a text only; their tune ends turns as the template."""
    tokenizer = load(tmp_path, "llama3")
    stops = stop_ids(tmp_path, tokenizer)
    assert stops == set(tokenizer.convert_tokens_to_ids(["<|end_of_text|>", "<|eot_id|>"]))
    (row,) = turns.encode(tokenizer, MESSAGES, number=1, stops=stops, loss=Loss.assistant_only)
    assert row == encode(tokenizer, "llama3", MESSAGES)


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("place", [1, 2])
def test_stop_token_in_a_text_is_refused(tmp_path: Path, name: str, place: int) -> None:
    """It would end the turn in its middle, and what follows would be learnt by nobody."""
    tokenizer = load(tmp_path, name)
    messages = [dict(message) for message in MESSAGES]
    messages[place]["content"] += f" Say {STOP[name]} now."
    with pytest.raises(ConfigError, match=rf"row 1, message {place + 1}: its text holds") as raised:
        encode(tokenizer, name, messages)
    assert STOP[name] in raised.value.message
