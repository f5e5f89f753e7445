"""Own prompts that the page renders itself, for chat templates that no block of web-llm can say.

web-llm then gets a rendered prompt as a user message between empty roles and separators, so its
block adds nothing. What Python can prove is proved here: a prompt tokenized once, as web-llm does
it, has the trained ids. That the page's Jinja renders the same text is the browser's to prove.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from webslm.basics.errors import StageFailed
from webslm.basics.stage import Progress
from webslm.model.prompts.conversation import SYSTEM_PLACEHOLDER, ConvTemplate, Message
from webslm.model.prompts.probes import (
    CHAT,
    EDGE_TEXT,
    SPECIAL_TEXTS,
    special_conversations,
    with_system,
)
from webslm.model.prompts.prompt_tokens import Proof, Tokens, check_starts, difference

NEUTRAL: ConvTemplate = {
    "name": "rendered-by-the-page",
    "system_template": SYSTEM_PLACEHOLDER,
    "system_message": "",
    "add_role_after_system_message": True,
    "roles": {"user": "", "assistant": ""},
    "role_content_sep": "",
    "role_empty_sep": "",
    "seps": [""],
}
"""A block (without stop lists) whose prompt is its messages' contents and nothing else."""
Conversation = tuple[str, Sequence[Message]]
"""Where a conversation stands, for sentences, and its messages; the last one is a user's."""


def facts(tokens: Tokens, ends: Sequence[str]) -> dict[str, Any]:
    """Return what the page needs: the template, its variables, and how an answer may end."""
    return {
        "source": tokens.trained.get_chat_template(),
        "words": dict(tokens.trained.special_tokens_map),
        "ends": list(ends),
    }


def row_prompts(rows: Iterable[Conversation]) -> Iterator[Conversation]:
    """Yield every prompt of every row: up to each of its user turns."""
    for where, messages in rows:
        for end, message in enumerate(messages, start=1):
            if message["role"] == "user":
                yield where, messages[:end]


def chosen_prompts(tokens: Tokens, system_prompt: str) -> Iterator[Conversation]:
    """Yield conversations chosen to break a rendering, except those that the template refuses."""
    chosen: list[Conversation] = [
        (f"the text {text!r}", messages)
        for text in (*SPECIAL_TEXTS, EDGE_TEXT)
        for messages in special_conversations(text, system_prompt)
    ]
    empty: Message = {"role": "system", "content": ""}
    for turns in (CHAT[:1], CHAT):
        chosen.append(("a plain chat", with_system(turns, system_prompt)))
        chosen.append(("an empty system message", [empty, *turns]))
    for where, messages in chosen:
        try:
            tokens.prompt(messages)
        except StageFailed:
            continue
        yield where, messages


def prove(
    tokens: Tokens,
    stops: ConvTemplate,
    rows: Sequence[Conversation],
    system_prompt: str,
    progress: Progress,
) -> Proof:
    """Compare the tokens of rendered prompts, each tokenized once, with those trained on.

    Raises:
        StageFailed: Some differ, a row is refused, or a prompt has two start tokens.
    """
    check_starts(tokens, stops["stop_token_ids"], lambda chat: [tokens.prompt(chat)], system_prompt)
    longest = 0
    for number, (where, messages) in enumerate(rows):
        progress.update(number, len(rows), where)
        longest = max(longest, len(tokens.trained_ids(messages, prompt=False)))
    prompts, continues = 0, True
    for where, messages in (*row_prompts(rows), *chosen_prompts(tokens, system_prompt)):
        found, trained = tokens.web_ids([tokens.prompt(messages)]), tokens.trained_ids(messages)
        if found != trained:
            raise StageFailed(difference(tokens, where, found, trained))
        continues = continues and _continues(tokens, stops["stop_str"], messages)
        prompts += 1
    chat = with_system(CHAT, system_prompt)
    return Proof(
        rows=len(rows),
        prompts=prompts,
        longest=longest,
        continues=continues,
        empty_system=True,
        cached=_added(tokens, stops["stop_str"], chat) is not None,
    )


def _added(tokens: Tokens, ends: Sequence[str], messages: Sequence[Message]) -> str | None:
    """Return what the page adds to web-llm's cache for the newest turn; None: it starts afresh.

    As ``site/template.js`` decides: the earlier prompt and the answer must still be how the
    conversation begins, and a token that ends an answer must follow, where no piece of text can
    join the one before it.
    """
    answered = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
    if not answered:
        return None
    kept = tokens.prompt(messages[: answered[-1]]) + messages[answered[-1]]["content"]
    text = tokens.prompt(messages)
    rest = text.removeprefix(kept)
    return rest if text.startswith(kept) and rest.startswith(tuple(ends)) else None


def _continues(tokens: Tokens, ends: Sequence[str], messages: Sequence[Message]) -> bool:
    """Tell whether a turn that is added to the cache leaves the tokens of a fresh prompt in it."""
    added = _added(tokens, ends, messages)
    if added is None:
        return True
    last = max(i for i, message in enumerate(messages) if message["role"] == "assistant")
    before, after = tokens.trained_ids(messages[:last]), tokens.web_ids([added])
    whole = tokens.trained_ids(messages)
    answer = whole[len(before) : len(whole) - len(after)]
    text = tokens.web.decode(answer, skip_special_tokens=False)
    return before + answer + after == whole and text == messages[last]["content"]
