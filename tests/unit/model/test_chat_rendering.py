"""Why a chat template cannot render a conversation: one true sentence, and hints that help."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.training.test_chat_ends import CHATML, Make, chat, made
from webslm.basics.errors import ConfigError, StageFailed
from webslm.model.prompts import rendering
from webslm.model.prompts.template import check_options, edited, switches, with_opening

__all__ = ["made"]
SYSTEM = {"role": "system", "content": "Be kind."}
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
SWITCHED = CHATML.replace(
    "assistant\n{% endif %}",
    "assistant\n{% if enable_thinking is defined and enable_thinking is false %}<think>\n"
    "{% endif %}{% endif %}",
)


@pytest.mark.parametrize(
    ("template", "said", "hint"),
    [
        (
            "{% for t in tools %}{{ t }}{% endfor %}",
            "needs tools",
            "template_options='{tools: []}'",
        ),
        (
            "{% for t in tools %}{% endfor %}{% for d in documents %}{% endfor %}",
            "needs tools and documents",
            "'{tools: [], documents: []}'",
        ),
        ("{{ shelf.books }}", "uses 'shelf', which nothing", "template_options.shelf=VALUE"),
        ("{{ today() }}", "uses 'today', which nothing", "base.template_path=FILE"),
        ("{{ clock.now().year }}", "uses 'clock', which nothing", "base.template_path=FILE"),
        ("{{ tool.call | tojson }}", "uses 'tool', which nothing", "base.template_path=FILE"),
        ("{{ messages[0].thought + '' }}", "fails on a conversation: 'dict", "template_path=FILE"),
        ("{{ 1 / 0 }}", "fails on a conversation: ZeroDivisionError", "base.template_path=FILE"),
        ("{{ messages[7].role.x }}", "fails on a conversation", "base.template_path=FILE"),
        ("{{ messages + 1 }}", "fails on a conversation: TypeError", "base.template_path=FILE"),
        ("{{ ''.__class__.mro() }}", "fails on a conversation", "base.template_path=FILE"),
        ("{% for m in messages %}", "is not Jinja: line 1", "base.template_path=FILE"),
        ("{{ messages | nosuch }}", "is not Jinja: line 1: No filter", "base.template_path=FILE"),
    ],
)
def test_every_failure_has_its_reason_and_a_hint_that_fits(
    made: Make, template: str, said: str, hint: str
) -> None:
    with pytest.raises(StageFailed) as caught:
        rendering.text(made(template), chat("Hi"), prompt=True)
    assert said in caught.value.message
    assert hint in str(caught.value.hint)
    assert "system_fold" not in str(caught.value.hint)
    assert ("VALUE" in str(caught.value.hint)) is ("VALUE" in hint)
    assert not isinstance(caught.value, rendering.Refused)


def test_hints_that_name_options_were_tried(made: Make) -> None:
    source = "{% for t in tools %}{{ t }}{% endfor %}{{ shelf.books }}" + CHATML
    told = edited(source, fold=None, date="", options={"tools": [], "shelf": 1})
    assert rendering.text(made(told), chat("Hi"), prompt=True).startswith("<|im_start|>user")
    # With empty tools alone it still fails, so they are not the reason.
    with pytest.raises(StageFailed) as caught:
        rendering.text(made(source), chat("Hi"), prompt=True)
    assert "tools: []" not in str(caught.value.hint)


def test_fold_is_hinted_only_where_it_helps(made: Make) -> None:
    for template, hinted in ((NO_SYSTEM, True), ("{{ raise_exception('never') }}", False)):
        with pytest.raises(rendering.Refused, match="refuses a conversation: n") as caught:
            rendering.text(made(template), [SYSTEM, *chat("Hi")], prompt=True)
        assert ("base.system_fold" in str(caught.value.hint)) is hinted
    with pytest.raises(rendering.Refused) as plain:
        rendering.text(made("{{ raise_exception('never') }}"), chat("Hi"), prompt=True)
    assert plain.value.hint is None


def test_switch_that_makes_a_prompt_the_rows_beginning_is_found(made: Make) -> None:
    opened = CHATML.replace("assistant\n{% endif %}", "assistant\n<think>{% endif %}")
    row = chat("Hi", "Yes.")
    assert rendering.helpful_option(made(opened), row, 1) is None
    closed = opened.replace("<think>", "{% if enable_thinking != false %}<think>{% endif %}")
    found = rendering.helpful_option(made(closed), row, 1)
    assert found == "base.template_options.enable_thinking=false"


def test_fold_that_makes_a_prompt_the_rows_beginning_is_found(made: Make) -> None:
    """The system message stands in the newest message, which is not the question in a row."""
    apart = CHATML.replace("for m in messages", "for m in messages[1:]")
    apart = apart.replace(
        "{{ m.content }}", "{{ messages[0].content if loop.last }}{{ m.content }}"
    )
    folding = "{% if messages[0].role == 'system' %}" + apart + "{% else %}" + CHATML
    row = [SYSTEM, *chat("Hi", "Yes.")]
    assert rendering.helpful_option(made(CHATML + "{{ messages | length }}"), row, 2) is None
    found = rendering.helpful_option(made(folding + "{% endif %}"), row, 2)
    assert found == "base.system_fold='\\n\\n'"


def test_options_are_set_in_the_template_itself(made: Make) -> None:
    options: dict[str, Any] = {"enable_thinking": False}
    told = rendering.text(
        made(edited(SWITCHED, fold=None, date="", options=options)), chat("Hi"), prompt=True
    )
    asked = made(SWITCHED).apply_chat_template(
        chat("Hi"), tokenize=False, add_generation_prompt=True, **options
    )
    assert told == asked
    assert told.endswith("assistant\n<think>\n")


@pytest.mark.parametrize(
    "value",
    [True, None, -3, 0.25, "it's\n\\odd", ["a", 1], {"name": "x", "of": [False]}],
    ids=repr,
)
def test_any_value_reaches_the_template_as_it_is(made: Make, value: Any) -> None:
    source = edited("{{ level | tojson }}", fold=None, date="", options={"level": value})
    given = made("{{ level | tojson }}").apply_chat_template(
        chat("Hi"), tokenize=False, level=value
    )
    assert rendering.text(made(source), chat("Hi"), prompt=False) == given


def test_options_that_a_template_does_not_use_are_refused_with_those_it_does() -> None:
    source = SWITCHED + "{% for t in tools or [] %}{% endfor %}{{ bos_token }}{% set own = 1 %}"
    assert switches(source) == {"enable_thinking", "tools"}
    check_options(source, {"enable_thinking": False})
    with pytest.raises(
        ConfigError, match=r"base\.template_options\.thinking: .* does not use it"
    ) as e:
        check_options(source, {"thinking": False})
    assert e.value.hint == "it uses enable_thinking, tools"
    with pytest.raises(ConfigError) as none:
        check_options(CHATML, {"own": 1})
    assert none.value.hint == "it has no switches: leave it out"


def test_marks_of_generated_text_are_read_over() -> None:
    source = "{% generation %}{{ level }}{%- endgeneration -%}{% for m in messages %}"
    source += "{% if m %}{% break %}{% endif %}{% endfor %}"
    assert switches(source) == {"level"}


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "  "])
def test_opening_ends_the_prompt_and_no_row(made: Make, end: str) -> None:
    source = with_opening(CHATML + end, "<think>\n\n")
    before = made(CHATML + end)
    for prompt in (True, False):
        plain = rendering.text(before, chat("Hi"), prompt=prompt)
        opened = rendering.text(made(source), chat("Hi"), prompt=prompt)
        assert opened == plain + ("<think>\n\n" if prompt else "")
