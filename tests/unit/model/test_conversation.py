"""web-llm's rendering rules, and conversation templates found by probing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from webslm.basics.errors import StageFailed
from webslm.model.prompts.chat_template import Render, derive, probe
from webslm.model.prompts.conversation import Message, continued_pieces, js_replace, pieces, render
from webslm.model.prompts.rendering import Refused

PLAIN: dict[str, Any] = {
    "system_template": "<s>{system_message}</s>",
    "system_message": "Be kind.",
    "roles": {"user": "U", "assistant": "A"},
    "role_content_sep": "=",
    "role_empty_sep": "~",
    "seps": [";", "|"],
}
CHATML = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# ChatML with a default system message, as Qwen2.5 has it.
QWEN25 = "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nHelp.<|im_end|>\n{% endif %}"
QWEN25 += CHATML
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
# The system message stands inside the first user turn.
MISTRAL = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set s = messages[0]['content'] %}"
    "{% set messages = messages[1:] %}{% else %}{% set s = '' %}{% endif %}"
    "{% for m in messages %}{% if m['role'] == 'user' %}[INST]{% if loop.first and s %}{{ s }}\n\n"
    "{% endif %}{{ m['content'] }}[/INST]{% else %}{{ m['content'] }}</s>{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}"
    "{% endif %}{% for m in messages %}<start_of_turn>"
    "{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n{{ m['content'] }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
# A thinking template: the header that asks for an answer holds more than an answer's own.
THINK = CHATML.replace("assistant\\n' }}{% endif", "assistant\\n<think>\\n' }}{% endif")
# An answer in the history stands behind a mark that the header asking for one lacks.
MARKED_ANSWER = CHATML.replace("+ m['content']", "+ ('>' if m['role'] == 'assistant' else '')")
MARKED_ANSWER = MARKED_ANSWER.replace("+ '<|im_end|>", "+ m['content'] + '<|im_end|>")
SPECIALS = {
    "chatml": (CHATML, ("<|endoftext|>", "<|im_start|>", "<|im_end|>")),
    "qwen25": (QWEN25, ("<|endoftext|>", "<|im_start|>", "<|im_end|>")),
    "llama3": (LLAMA3, ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<s>")),
    "mistral": (MISTRAL, ("[INST]", "[/INST]", "</s>", "<s>")),
    "gemma": (GEMMA, ("<start_of_turn>", "<end_of_turn>", "<s>")),
    "think": (THINK, ("<|im_start|>", "<|im_end|>")),
}


def jinja(source: str) -> Render:
    """Render a template as transformers does."""

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(source)

    def call(messages: Sequence[Message]) -> str:
        try:
            return template.render(
                messages=list(messages),
                add_generation_prompt=True,
                bos_token="<s>",
                raise_exception=refuse,
            )
        except TemplateError as exc:
            raise Refused(str(exc)) from exc

    return call


def turns(*texts: str, system: str | None = None) -> list[Message]:
    """Alternate user and assistant messages."""
    roles = ("user", "assistant")
    found: list[Message] = [{"role": "system", "content": system}] if system is not None else []
    return [*found, *({"role": roles[i % 2], "content": t} for i, t in enumerate(texts))]


def test_pieces_are_system_messages_and_header() -> None:
    assert pieces(PLAIN, turns("a", "b", "c")) == ["<s>Be kind.</s>", "U=a;", "A=b|", "U=c;", "A~"]
    assert render(PLAIN, turns("a", system="Hi")) == "<s>Hi</s>U=a;A~"


def test_pieces_empty_system_is_left_out() -> None:
    bare = {**PLAIN, "system_template": "{system_message}"}
    assert pieces(bare, turns("a", system="")) == ["U=a;", "A~"]


def test_pieces_drop_the_first_role_only_after_a_system_part() -> None:
    conv = {**PLAIN, "add_role_after_system_message": False}
    assert pieces(conv, turns("a", "b", "c")) == ["<s>Be kind.</s>", "a;", "A=b|", "U=c;", "A~"]
    empty = {**conv, "system_template": "{system_message}"}
    assert pieces(empty, turns("a", system="")) == ["U=a;", "A~"]


def test_pieces_defaults_for_missing_separators() -> None:
    conv = {k: v for k, v in PLAIN.items() if not k.startswith("role_")}
    assert render(conv, turns("a")) == "<s>Be kind.</s>U: a;A: "


def test_pieces_role_templates_replace_as_javascript_does() -> None:
    conv = {**PLAIN, "role_templates": {"user": "[{user_message}{function_string}]"}}
    assert pieces(conv, turns("a $$5 $& b"))[1] == "U=[a $5 {user_message} b];"
    assert pieces(PLAIN, turns("a $$5 $& b"))[1] == "U=a $$5 $& b;"


def test_pieces_refuse_what_web_llm_refuses() -> None:
    with pytest.raises(StageFailed, match="end with a user message"):
        pieces(PLAIN, turns("a", "b"))
    with pytest.raises(StageFailed, match="no role 'tool'"):
        pieces(PLAIN, [{"role": "tool", "content": "x"}, *turns("a")])


def test_continued_pieces_are_the_last_message_and_the_header() -> None:
    assert continued_pieces(PLAIN, turns("a", "b", "c", system="x")) == ["U=c;", "A~"]


@pytest.mark.parametrize(
    ("replacement", "expected"),
    [
        ("plain $1 $<x>", "<plain $1 $<x>|x>"),
        ("$$$$", "<$$|x>"),
        ("$&$&", "<xx|x>"),
        ("$`", "<<|x>"),
        ("$'", "<|x>|x>"),
    ],
)
def test_js_replace(replacement: str, expected: str) -> None:
    # Values as `"<x|x>".replace("x", replacement)` gives them in Node.
    assert js_replace("<x|x>", "x", replacement) == expected


def test_derive_chatml() -> None:
    source, specials = SPECIALS["chatml"]
    conv = derive(probe(jinja(source)), specials, "Be kind.", name="n")
    assert conv == {
        "name": "n",
        "system_template": "<|im_start|>system\n{system_message}",
        "system_message": "Be kind.",
        "add_role_after_system_message": True,
        "roles": {
            "user": "<|im_end|>\n<|im_start|>user",
            "assistant": "<|im_start|>assistant",
        },
        "role_content_sep": "\n",
        "role_empty_sep": "\n",
        "seps": ["<|im_end|>\n", ""],
    }


@pytest.mark.parametrize("name", ["chatml", "qwen25", "llama3", "mistral", "think"])
def test_derive_renders_what_the_template_renders(name: str) -> None:
    source, specials = SPECIALS[name]
    template = jinja(source)
    conv = derive(probe(template), specials, "Be kind.", name=name)
    for texts in (("a",), ("a", "b", "c"), ("a", "b", "c", "d", "e")):
        expected = template(turns(*texts, system="Be kind."))
        assert render(conv, turns(*texts)) == expected
        assert render(conv, turns(*texts, system="Be kind.")) == expected


@pytest.mark.parametrize("name", ["chatml", "qwen25", "llama3", "mistral", "gemma"])
def test_derive_without_a_system_message(name: str) -> None:
    source, specials = SPECIALS[name]
    template = jinja(source)
    conv = derive(probe(template), specials, "", name=name)
    for texts in (("a",), ("a", "b", "c")):
        assert render(conv, turns(*texts)) == template(turns(*texts))


def test_derive_keeps_the_templates_own_default_system() -> None:
    source, specials = SPECIALS["qwen25"]
    conv = derive(probe(jinja(source)), specials, "", name="n")
    assert conv["system_message"] == "Help."
    assert render(conv, turns("a", system="x")) == jinja(source)(turns("a", system="x"))


@pytest.mark.parametrize("name", ["chatml", "qwen25", "llama3"])
def test_derive_continued_chat_loses_nothing(name: str) -> None:
    source, specials = SPECIALS[name]
    template = jinja(source)
    conv = derive(probe(template), specials, "Be kind.", name=name)
    # What lies in web-llm's cache after an answer, then what it adds for the next turn.
    cached = render(conv, turns("a")) + "b"
    assert cached + "".join(continued_pieces(conv, turns("a", "b", "c"))) == template(
        turns("a", "b", "c", system="Be kind.")
    )


@pytest.mark.parametrize(
    ("source", "system", "message"),
    [
        (GEMMA, "Be kind.", "takes no system message"),
        (MARKED_ANSWER, "Be kind.", "when it is asked for"),
        (CHATML, "It costs $$5", "JavaScript replaces"),
        (CHATML.replace("m['content']", "m['content'] + m['content']"), "", "renders a message 2"),
        (CHATML.replace("in messages", "in messages[-1:]"), "", "renders a message 0 times"),
        ("{{ nothing.at_all }}", "", "nothing"),
    ],
)
def test_derive_says_what_cannot_be_expressed(source: str, system: str, message: str) -> None:
    specials = [token for _, tokens in SPECIALS.values() for token in tokens]
    with pytest.raises(StageFailed, match=message):
        derive(probe(jinja(source)), specials, system, name="n")
