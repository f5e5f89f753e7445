"""Which tokens carry loss, token by token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.training import ANSWERS, SYSTEM, rows
from webslm.basics.errors import ConfigError, StageFailed
from webslm.model.prompts import prompt_tokens
from webslm.model.prompts.ends import stop_ids
from webslm.model.prompts.rendering import prompt_ids
from webslm.rows.roles import Messages, learnt
from webslm.schema import Loss
from webslm.training import tokenizer as tiny_tokenizer
from webslm.training import turns

QUESTION, ANSWER = next(iter(ANSWERS.items()))
SINGLE = rows()[0]["messages"]
DOUBLE = rows()[-1]["messages"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    texts = [tiny_tokenizer.render(row["messages"]) for row in rows()]
    tiny_tokenizer.save(tiny_tokenizer.train(texts, 300), path, max_length=512)
    return path


@pytest.fixture
def tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def encode(
    tokenizer: Any, messages: Messages, loss: Loss = Loss.assistant_only
) -> turns.EncodedRow:
    stops = frozenset({tokenizer.eos_token_id})
    (row,) = turns.encode(tokenizer, messages, number=7, stops=stops, loss=loss)
    return row


def test_single_turn_learns_the_answer_and_its_stop_token_and_nothing_else(tokenizer: Any) -> None:
    row = encode(tokenizer, SINGLE)
    ahead = (
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{QUESTION}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    pieces = [(ahead, False), (ANSWER + "<|im_end|>", True), ("\n", False)]
    ids: list[int] = []
    labels: list[int] = []
    for text, carries in pieces:
        part = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids += part
        labels += part if carries else [turns.IGNORED] * len(part)
    assert row.input_ids == ids
    assert row.labels == labels
    assert [label for label in row.labels if label != turns.IGNORED][-1] == tokenizer.eos_token_id


def test_every_turn_of_a_conversation_is_learnt_with_its_stop_token(tokenizer: Any) -> None:
    row = encode(tokenizer, DOUBLE)
    assert turns.sample(tokenizer, row) == [
        {
            "loss": False,
            "text": f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n"
            "What is salt?<|im_end|>\n<|im_start|>assistant\n",
        },
        {"loss": True, "text": "Salt is a mineral that seasons food.<|im_end|>"},
        {
            "loss": False,
            "text": "\n<|im_start|>user\nAnd pepper?<|im_end|>\n<|im_start|>assistant\n",
        },
        {"loss": True, "text": "Pepper is a dried berry.<|im_end|>"},
        {"loss": False, "text": "\n"},
    ]
    assert row.trained == sum(
        label == token for label, token in zip(row.labels, row.input_ids, strict=True)
    )


@pytest.mark.parametrize("loss", list(Loss))
def test_turn_of_weight_0_carries_no_loss_and_stays_in_the_row(tokenizer: Any, loss: Loss) -> None:
    first = next(at for at, item in enumerate(DOUBLE) if item["role"] == "assistant")
    unlearnt: Any = [
        {**item, "weight": 0} if at == first else item for at, item in enumerate(DOUBLE)
    ]
    row, whole = encode(tokenizer, unlearnt, loss), encode(tokenizer, DOUBLE, loss)
    assert row.input_ids == whole.input_ids
    changed = [at for at, label in enumerate(row.labels) if label != whole.labels[at]]
    text = tokenizer.decode([row.input_ids[at] for at in changed])
    assert text == "Salt is a mineral that seasons food.<|im_end|>"
    assert {row.labels[at] for at in changed} == {turns.IGNORED}
    assert learnt(unlearnt)[0] > first


def test_prompt_of_the_page_is_what_precedes_the_answer(tokenizer: Any) -> None:
    row = encode(tokenizer, DOUBLE)
    prompt = prompt_ids(tokenizer, DOUBLE[:4])
    assert row.input_ids[: len(prompt)] == prompt
    assert row.labels[len(prompt) - 1] == turns.IGNORED
    assert row.labels[len(prompt)] == row.input_ids[len(prompt)]


@pytest.mark.parametrize("messages", [SINGLE, DOUBLE], ids=["one turn", "two turns"])
def test_training_proof_and_page_ask_with_the_same_tokens(
    folder: Path, tokenizer: Any, messages: Messages
) -> None:
    """A prompt as it is learnt, as the proof holds it against web-llm's, and as torch is asked."""
    stops = frozenset({tokenizer.eos_token_id})
    learnt_prompt, _ = turns.encode_last(tokenizer, messages, number=1, stops=stops)
    asked = messages[:-1]
    proved = prompt_tokens.load(folder)
    text = proved.prompt(asked)
    assert learnt_prompt == proved.trained_ids(asked) == prompt_ids(tokenizer, asked)
    assert learnt_prompt == proved.web_ids([text])
    assert encode(tokenizer, messages).input_ids[: len(learnt_prompt)] == learnt_prompt


def test_full_loss_covers_every_token(tokenizer: Any) -> None:
    row = encode(tokenizer, SINGLE, Loss.full)
    assert row.labels == row.input_ids
    assert row.trained > encode(tokenizer, SINGLE).trained


def test_rows_above_max_length_are_all_named_and_none_is_cut(tokenizer: Any) -> None:
    stops = frozenset({tokenizer.eos_token_id})
    lengths = [len(encode(tokenizer, row["messages"]).input_ids) for row in rows()]
    limit = sorted(lengths)[-3]
    with pytest.raises(ConfigError) as raised:
        turns.encode_all(
            tokenizer,
            [row["messages"] for row in rows()],
            stops=stops,
            loss=Loss.assistant_only,
            max_length=limit,
        )
    long = [(line, length) for line, length in enumerate(lengths, 1) if length > limit]
    assert len(long) == 2
    assert [message for message, _ in raised.value.problems] == [
        f"lora.max_length: training row {line} has {length} tokens, {limit} are allowed"
        for line, length in long
    ]
    kept = turns.encode_all(
        tokenizer,
        [row["messages"] for row in rows()],
        stops=stops,
        loss=Loss.assistant_only,
        max_length=max(lengths),
    )
    assert [len(row.input_ids) for row in kept] == lengths


def test_rows_without_an_answer_are_refused(tokenizer: Any) -> None:
    with pytest.raises(ConfigError, match="row 1: no assistant turn"):
        turns.encode_all(
            tokenizer,
            [SINGLE[:2]],
            stops=frozenset({tokenizer.eos_token_id}),
            loss=Loss.assistant_only,
            max_length=512,
        )


def test_template_without_a_stop_token_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = tokenizer.chat_template.replace("+ '<|im_end|>' ", "")
    with pytest.raises(StageFailed, match=r"row 7, message 3: no stop token follows"):
        encode(tokenizer, SINGLE)


def answers_apart(tokenizer: Any, messages: Messages) -> list[str]:
    """Return what is learnt, of each row that one conversation makes."""
    stops = frozenset({tokenizer.eos_token_id})
    rows = turns.encode(tokenizer, messages, number=7, stops=stops, loss=Loss.assistant_only)
    for row in rows:
        begin = next(at for at, label in enumerate(row.labels) if label != turns.IGNORED)
        asked = [prompt_ids(tokenizer, messages[:at]) for at in (2, 4)]
        assert row.input_ids[:begin] in asked
    return [
        "".join(piece["text"] for piece in turns.sample(tokenizer, row) if piece["loss"])
        for row in rows
    ]


@pytest.mark.parametrize(
    "past",
    [
        # Past answers have no end of their own, are left out, or have no thoughts any more.
        "{{ m['content'] }}{% if loop.last or m['role'] != 'assistant' %}<|im_end|>{% endif %}\n",
        "{% if loop.last or m['role'] != 'assistant' %}{{ m['content'] }}{% endif %}<|im_end|>\n",
        "{% if loop.last and m['role'] == 'assistant' %}(no thought)\n{% endif %}"
        "{{ m['content'] }}<|im_end|>\n",
    ],
)
def test_answers_that_the_template_renders_otherwise_later_are_learnt_one_by_one(
    tokenizer: Any, past: str
) -> None:
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
        + past
        + "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
        + ("(no thought)\n" if "no thought" in past else "")
        + "{% endif %}"
    )
    first, second = (m["content"] for m in DOUBLE if m["role"] == "assistant")
    learnt = [f"{first}<|im_end|>", f"{second}<|im_end|>"]
    assert answers_apart(tokenizer, DOUBLE) == learnt


def test_text_that_the_template_adds_to_an_answer_is_not_learnt_silently(tokenizer: Any) -> None:
    for added in ("Well: {}", "{} (end)"):
        tokenizer.chat_template = (
            "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
            "{% if m['role'] == 'assistant' %}" + added.format("{{ m['content'] }}") + "{% else %}"
            "{{ m['content'] }}{% endif %}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
        )
        with pytest.raises(StageFailed, match=r"the chat template makes .* of the answer"):
            encode(tokenizer, SINGLE)


def test_prompt_that_differs_from_the_training_row_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "'<|im_start|>assistant\\n'", "'<|im_start|>assistant\\nWell: '"
    )
    with pytest.raises(StageFailed, match="the prompt's tokens are not the ones that precede"):
        encode(tokenizer, SINGLE)


def test_template_that_refuses_a_role_is_explained(tokenizer: Any) -> None:
    tokenizer.chat_template = (
        "{% if messages[0]['role'] == 'system' %}"
        "{{ raise_exception('System role not supported') }}{% endif %}"
    )
    with pytest.raises(ConfigError, match=r"row 7: .*System role not supported") as raised:
        encode(tokenizer, SINGLE)
    assert raised.value.hint is not None


def test_text_of_a_template_gets_no_second_start_token(tokenizer: Any, folder: Path) -> None:
    """A tokenizer that adds a start token by itself, under a template that writes one."""
    from tokenizers.processors import TemplateProcessing

    start = tiny_tokenizer.TEXT_END
    tokenizer.bos_token = start
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{start} $A", special_tokens=[(start, tokenizer.bos_token_id)]
    )
    assert tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id
    tokenizer.chat_template = start + tokenizer.chat_template
    assert encode(tokenizer, SINGLE).input_ids.count(tokenizer.bos_token_id) == 1
    tokenizer.chat_template = start + tokenizer.chat_template
    with pytest.raises(StageFailed, match=r"begins with the start token .* twice"):
        encode(tokenizer, SINGLE)


def test_stop_ids_are_those_of_generation_config_and_tokenizer(
    tokenizer: Any, tmp_path: Path
) -> None:
    assert stop_ids(tmp_path, tokenizer) == {tokenizer.eos_token_id}
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [0, 5]}')
    assert stop_ids(tmp_path, tokenizer) == {0, 5, tokenizer.eos_token_id}
    (tmp_path / "generation_config.json").write_text("{}")
    tokenizer.eos_token = None
    assert stop_ids(tmp_path, tokenizer) == {tokenizer.convert_tokens_to_ids("<|im_end|>")}
    tokenizer.chat_template = tokenizer.chat_template.replace("+ '<|im_end|>' ", "")
    with pytest.raises(StageFailed, match="no stop token"):
        stop_ids(tmp_path, tokenizer)
