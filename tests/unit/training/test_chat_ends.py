"""Where answers end and prompts start: one rule for training, configuration, page and proof."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from webslm.basics.errors import StageFailed
from webslm.model.prompts import ends, rendering
from webslm.schema import Loss
from webslm.training.turns import encode, sample

Make = Callable[..., Any]
NAMES = ("<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|user|>", "<|bot|>", "<|end|>", "<think>")
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# A question begins with the start token each time, an answer ends behind a space.
STARTED = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token }}[Q] {{ m.content }} [/Q]"
    "{% else %} {{ m.content }} {{ eos_token }}{% endif %}{% endfor %}"
)
# Turns end with a token that the checkpoint does not name, the whole with one that it names.
ENDED = (
    "{% for m in messages %}<|user|>{{ m.role }}\n{{ m.content }}\n<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|user|>assistant\n{% else %}{{ eos_token }}{% endif %}"
)
# Nothing ends a turn but the next one's beginning.
OPENED = (
    "{% for m in messages %}{% if m.role == 'user' %}<|user|>{% else %}<|bot|>{% endif %}"
    "{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|bot|>{% endif %}"
)
LAST = CHATML.replace("<|im_end|>", "{% if loop.last %}</s>{% endif %}")
DEFAULT_SYSTEM = "<|im_start|>system\nHelp.<|im_end|>\n" + CHATML
PLAIN = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"


@pytest.fixture(scope="module")
def made() -> Make:
    """Make a tokenizer of bytes with a template; each call gives a fresh one."""
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_only = Tokenizer(models.BPE({letter: at for at, letter in enumerate(alphabet)}, []))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    bytes_only.add_special_tokens(list(NAMES))

    def make(template: str, bos: str | None = "<s>", eos: str | None = "</s>") -> Any:
        found = PreTrainedTokenizerFast(tokenizer_object=bytes_only, bos_token=bos, eos_token=eos)
        found.chat_template = template
        return found

    return make


def chat(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(texts)]


def names(tokenizer: Any, ids: frozenset[int]) -> set[str]:
    return {tokenizer.convert_ids_to_tokens(index) for index in ids}


@pytest.mark.parametrize(
    ("template", "eos", "wanted"),
    [
        (CHATML, "</s>", {"</s>", "<|im_end|>"}),
        (DEFAULT_SYSTEM, "</s>", {"</s>", "<|im_end|>"}),
        (STARTED, "</s>", {"</s>"}),
        (ENDED, "</s>", {"</s>", "<|end|>"}),
        (ENDED, None, {"<|end|>"}),
        (OPENED, "</s>", {"</s>"}),
        (OPENED, "<|user|>", {"<|user|>"}),
        (LAST, "<|im_end|>", {"</s>", "<|im_end|>"}),
    ],
)
def test_stops_are_the_declared_and_what_the_template_puts_after_an_answer(
    made: Make, tmp_path: Path, template: str, eos: str | None, wanted: set[str]
) -> None:
    tokenizer = made(template, eos=eos)
    assert names(tokenizer, ends.stop_ids(tmp_path, tokenizer)) == wanted


def test_generation_config_declares_before_config_as_in_transformers(
    made: Make, tmp_path: Path
) -> None:
    tokenizer = made(PLAIN, eos=None)
    two = tokenizer.convert_tokens_to_ids(["<|end|>", "</s>"])
    (tmp_path / "config.json").write_text(f'{{"eos_token_id": {two}}}')
    assert ends.stop_ids(tmp_path, tokenizer) == set(two)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": null}')
    assert ends.stop_ids(tmp_path, tokenizer) == set(two)
    (tmp_path / "generation_config.json").write_text(f'{{"eos_token_id": {two[0]}}}')
    assert ends.stop_ids(tmp_path, tokenizer) == {two[0]}
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": 9999}')
    with pytest.raises(StageFailed, match=r"no tokens with the ids \[9999\]"):
        ends.stop_ids(tmp_path, tokenizer)
    (tmp_path / "generation_config.json").write_text("{")
    with pytest.raises(StageFailed, match="unreadable"):
        ends.stop_ids(tmp_path, tokenizer)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (PLAIN, r"ends an answer with '\\nuser: .*', no special token"),
        (OPENED, "no special token"),
        ("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}", "not render"),
    ],
)
def test_template_without_an_end_is_refused(
    made: Make, tmp_path: Path, template: str, said: str
) -> None:
    tokenizer = made(template)
    with pytest.raises(StageFailed, match=said):
        ends.check_ending(tokenizer, ends.stop_ids(tmp_path, tokenizer))
    for right in (CHATML, STARTED, ENDED, LAST):
        tokenizer = made(right)
        ends.check_ending(tokenizer, ends.stop_ids(tmp_path, tokenizer))


def learnt(tokenizer: Any, folder: Path, *texts: str) -> list[str]:
    """Return what is learnt of a conversation, run by run."""
    stops = ends.stop_ids(folder, tokenizer)
    (row,) = encode(tokenizer, chat(*texts), number=1, stops=stops, loss=Loss.assistant_only)
    return [piece["text"] for piece in sample(tokenizer, row) if piece["loss"]]


@pytest.mark.parametrize(
    ("template", "bos", "wanted"),
    [
        (STARTED, "<s>", [" Hot. </s>", " Salty. </s>"]),
        (CHATML, "<|im_start|>", ["Hot.<|im_end|>", "Salty.<|im_end|>"]),
        (ENDED, None, ["Hot.\n<|end|>", "Salty.\n<|end|>"]),
    ],
    ids=["start_in_every_turn", "start_opens_turns", "line_break_before_the_end"],
)
def test_several_answers_are_learnt_with_their_ends(
    made: Make, tmp_path: Path, template: str, bos: str | None, wanted: list[str]
) -> None:
    tokenizer = made(template, bos=bos)
    assert learnt(tokenizer, tmp_path, "Tea?", "Hot.", "Salt?", "Salty.") == wanted


def test_start_token_twice_at_the_beginning_is_refused_and_later_ones_are_not(made: Make) -> None:
    tokenizer = made(STARTED)
    stops = frozenset({tokenizer.eos_token_id})
    begun = rendering.token_ids(tokenizer, chat("a", "b", "c"), prompt=True)
    assert begun.count(tokenizer.bos_token_id) == 2
    ends.check_start(tokenizer, begun, stops, "a prompt")
    with pytest.raises(StageFailed, match="a prompt begins with the start token '<s>' twice"):
        ends.check_start(tokenizer, [tokenizer.bos_token_id, *begun], stops, "a prompt")


@pytest.mark.parametrize(
    ("opening", "wanted"),
    [("<think>\n\n", "<think>\n\n"), ("Reply: ", "Reply:"), (" ", ""), ("{{ m.content }}!", "")],
)
def test_opening_is_what_stands_between_a_prompt_and_the_answer(
    made: Make, opening: str, wanted: str
) -> None:
    answer = f"{{% if m.role == 'assistant' %}}{opening}{{% endif %}}{{{{ m.content }}}}<|im_end|>"
    tokenizer = made(CHATML.replace("{{ m.content }}<|im_end|>", answer))
    assert ends.opening(tokenizer) == wanted


def test_opening_of_the_last_answer_alone_is_found(made: Make) -> None:
    tokenizer = made(
        CHATML.replace(
            "{{ m.content }}",
            "{% if m.role == 'assistant' and loop.last %}<think>\n{% endif %}{{ m.content }}",
        )
    )
    assert ends.opening(tokenizer) == "<think>\n"
