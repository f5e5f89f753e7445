"""Templates out of the ordinary, from a checkpoint's files to what is trained and sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import training
from tests.chat_families import Family, write_tokenizer
from tests.integration.test_chat_families import Messages, chat
from webslm.basics.errors import StageFailed
from webslm.evaluation.inspection import inspect_rows
from webslm.model.prompts.conversation import pieces, render
from webslm.model.prompts.prompt_tokens import load
from webslm.schema import ChatConfigStageConf, DecodingConf, LoraConf, Prompts, ShapeConf
from webslm.stages import base, chat_config

TURNS = ("<|im_start|>", "<|im_end|>", "<think>", "</think>")
HEADER = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
# The last answer is told with an empty thought, earlier ones without, and none is asked for.
THOUGHTFUL = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}" + HEADER
)
# The same with a switch: the prompt has the empty thought where thinking is off.
SWITCHED = THOUGHTFUL.replace(
    "assistant\n{% endif %}",
    "assistant\n{% if enable_thinking is defined and enable_thinking is false %}"
    "<think>\n\n</think>\n\n{% endif %}{% endif %}",
)
STARTED = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token }}[Q] {{ m.content }} [/Q]"
    "{% else %} {{ m.content }} {{ eos_token }}{% endif %}{% endfor %}"
)
ROWS = [
    chat("What is tea?", "A hot drink.", system=None),
    chat("What is tea?", "A hot drink.", "And salt?", "A mineral.", system=None),
]
EMPTY = "<think>\n\n</think>\n\n"


def family(template: str, bos: str | None = None) -> Family:
    specials = (*TURNS, "<s>", "</s>")
    eos = "</s>" if bos == "<s>" else "<|im_end|>"
    return Family(
        template=template, specials=specials, eos=eos, bos=bos, metaspace=False, stops=(eos,)
    )


def made(folder: Path, one: Family, **changes: Any) -> str:
    """Write a tokenizer and store it as the base stage does; return what opens answers."""
    folder.mkdir()
    write_tokenizer(folder, one, [m["content"] for row in ROWS for m in row] * 3)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    conf = training.base_conf(**changes)
    base.fold_chat_template(conf, folder)
    return base.edit_chat_template(conf, folder)


def learnt(folder: Path, rows: list[Messages]) -> tuple[list[list[str]], dict[str, Any]]:
    found = inspect_rows(folder, rows, lora=LoraConf(max_length=512), context=512)
    runs = [
        [piece["text"] for piece in item["pieces"] if piece["loss"]] for item in found["samples"]
    ]
    return runs, found


def configured(root: Path, folder: Path, rows: list[Messages], way: Prompts) -> dict[str, Any]:
    data, out = root / "data", root / way.value
    for path in (data, out):
        path.mkdir(exist_ok=True)
    lines = "".join(json.dumps({"messages": row}) + "\n" for row in rows)
    (data / "train.jsonl").write_text(lines, encoding="utf-8")
    (data / "held_out.jsonl").write_text("", encoding="utf-8")
    (data / "stats.json").write_text('{"system_prompt": null}', encoding="utf-8")
    conf = ChatConfigStageConf(
        shape=ShapeConf(**{**vars(training.SHAPE), "vocab_size": 700}),
        quant_name="q4f32_1",
        context_window_size=512,
        prefill_chunk_size=128,
        decoding=DecodingConf(),
        template=way,
    )
    inputs = {"normalize": folder, "data": data}
    chat_config.run(conf, inputs, out, training.context(root))
    conv = json.loads((out / "mlc-chat-config.json").read_text(encoding="utf-8"))["conv_template"]
    assert isinstance(conv, dict)
    return conv


@pytest.mark.parametrize(
    ("template", "options"),
    [(THOUGHTFUL, {}), (SWITCHED, {}), (SWITCHED, {"enable_thinking": False})],
    ids=["no_switch", "switch_left", "switched_off"],
)
def test_empty_thoughts_are_asked_for_and_neither_learnt_nor_shown(
    tmp_path: Path, template: str, options: dict[str, Any]
) -> None:
    folder = tmp_path / "base"
    opening = made(folder, family(template), template_options=options)
    assert opening == ("" if options else EMPTY)
    runs, found = learnt(folder, ROWS)
    assert runs[0] == ["A hot drink.<|im_end|>"]
    assert found["answer_by_answer"] == 1
    tokens = load(folder)
    for way in Prompts:
        conv = configured(tmp_path, folder, ROWS, way)
        for prompt in (ROWS[1][:1], ROWS[1][:3]):
            text = tokens.prompt(prompt)
            assert text.endswith(f"<|im_start|>assistant\n{EMPTY}")
            assert text.count("<think>") == 1
            if way is Prompts.block:
                assert render(conv, prompt) == text


def test_rows_with_thoughts_are_learnt_where_thinking_is_switched_on(tmp_path: Path) -> None:
    template = SWITCHED.replace("and loop.last %}", "and '</think>' not in m.content %}")
    rows = [chat("Tea?", "<think>\nA plant.\n</think>\n\nHot.", system=None)]
    made(tmp_path / "off", family(template))
    with pytest.raises(StageFailed) as caught:
        learnt(tmp_path / "off", rows)
    hint = "base.template_options.enable_thinking=true makes them the same"
    assert caught.value.hint == hint
    on = {"enable_thinking": True}
    assert made(tmp_path / "on", family(template), template_options=on) == ""
    runs, _ = learnt(tmp_path / "on", rows)
    assert runs == [[rows[0][1]["content"] + "<|im_end|>"]]
    with pytest.raises(StageFailed, match="the chat template makes '<think>"):
        learnt(tmp_path / "on", ROWS)


def test_rows_of_several_answers_are_counted_as_they_are_learnt(tmp_path: Path) -> None:
    folder = tmp_path / "base"
    made(folder, family(THOUGHTFUL))
    _, once = learnt(folder, ROWS[:1])
    _, twice = learnt(folder, ROWS[1:])
    assert once["answer_by_answer"] == 0
    assert twice["rows"] == 1
    assert twice["tokens"] > 2 * once["tokens"]
    lora = LoraConf(max_length=512, epochs=1, batch_size=1, gradient_accumulation_steps=1)
    found = inspect_rows(folder, ROWS, lora=lora, context=512)
    assert found["plan"]["steps"] == 3


@pytest.mark.parametrize("way", list(Prompts))
def test_start_token_of_every_question_and_space_before_the_end(
    tmp_path: Path, way: Prompts
) -> None:
    folder = tmp_path / "base"
    assert made(folder, family(STARTED, "<s>")) == ""
    runs, _ = learnt(folder, ROWS)
    assert runs == [[" A hot drink. </s>"], [" A hot drink. </s>", " A mineral. </s>"]]
    conv = configured(tmp_path, folder, ROWS, way)
    tokens = load(folder)
    assert conv["stop_str"] == ["</s>"]
    prompt = ROWS[1][:3]
    if way is Prompts.block:
        assert tokens.web_ids(pieces(conv, prompt)) == tokens.trained_ids(prompt)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% for t in tools %}{{ t }}{% endfor %}" + THOUGHTFUL, "needs tools, which a chat has"),
        ("{{ shelf.books }}" + THOUGHTFUL, "uses 'shelf', which nothing gives it"),
        ("{{ raise_exception('never') }}", "refuses a conversation: never"),
        ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}", "no special token"),
    ],
)
def test_template_that_cannot_chat_stops_at_the_base(
    tmp_path: Path, template: str, said: str
) -> None:
    with pytest.raises(StageFailed, match=said):
        made(tmp_path / "base", family(template))


def test_template_that_wants_a_system_message_is_taken(tmp_path: Path) -> None:
    wants = "{% if messages[0].role != 'system' %}{{ raise_exception('no system') }}{% endif %}"
    made(tmp_path / "base", family(wants + THOUGHTFUL))
    runs, _ = learnt(tmp_path / "base", [chat("Tea?", "Hot.", system="Be brief.")])
    assert runs == [["Hot.<|im_end|>"]]


def test_older_template_file_is_read_and_taken_in(tmp_path: Path) -> None:
    folder = tmp_path / "base"
    folder.mkdir()
    write_tokenizer(folder, family(THOUGHTFUL), ["tea"] * 9)
    file = folder / "tokenizer_config.json"
    words = json.loads(file.read_text(encoding="utf-8"))
    source = words.pop("chat_template")
    file.write_text(json.dumps(words), encoding="utf-8")
    older = folder / "chat_template.json"
    older.write_text(json.dumps({"chat_template": source}), encoding="utf-8")
    base.fold_chat_template(training.base_conf(), folder)
    assert load(folder).trained.chat_template == source
    assert not older.exists()
    other = tmp_path / "mine.jinja"
    other.write_text("{{ messages[0].content }}", encoding="utf-8")
    base.fold_chat_template(training.base_conf(template_path=str(other)), folder)
    assert load(folder).trained.chat_template == "{{ messages[0].content }}"
