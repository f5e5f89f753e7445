"""Own the proof that web-llm's prompts have the tokens that the model was trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.basics import model_files
from webslm.basics.errors import StageFailed
from webslm.basics.stage import Progress
from webslm.model.prompts import rendering
from webslm.model.prompts.chat_template import PAGE_HINT
from webslm.model.prompts.conversation import ConvTemplate, Message, continued_pieces, pieces
from webslm.model.prompts.ends import check_start
from webslm.model.prompts.probes import (
    CHAT,
    EDGE_TEXT,
    SPECIAL_TEXTS,
    special_conversations,
    with_system,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The tokenizer as the model was trained with it, and as web-llm loads it."""

    trained: Any
    """transformers' tokenizer, with its chat template."""
    web: Tokenizer
    """tokenizer.json alone."""

    def prompt(self, messages: Sequence[Message]) -> str:
        """Render a prompt with the tokenizer's own template."""
        return rendering.text(self.trained, messages, prompt=True)

    def trained_ids(self, messages: Sequence[Message], *, prompt: bool = True) -> list[int]:
        """Return the token ids of a prompt, or of a whole conversation, as trained on."""
        return rendering.token_ids(self.trained, messages, prompt=prompt)

    def web_ids(self, texts: Sequence[str]) -> list[int]:
        """Return the token ids of texts that are tokenized one by one, as web-llm does."""
        return [
            index for text in texts for index in self.web.encode(text, add_special_tokens=False).ids
        ]


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What was compared."""

    rows: int
    prompts: int
    longest: int
    """Tokens of the longest row, answer included."""
    continues: bool
    """Whether a chat that goes on in web-llm's cache keeps exactly the trained form."""
    empty_system: bool
    """Whether a request that empties the system message has the tokens that the template gives;
    a template that trims a turn which took the system message in (Gemma) cannot be said so."""
    cached: bool = True
    """Whether the next turn of a plain chat is added to web-llm's cache, not computed afresh."""


def load(folder: Path) -> Tokens:
    """Load the tokenizer of a folder both ways.

    Raises:
        StageFailed: A file is missing or broken.
    """
    from tokenizers import Tokenizer

    trained = rendering.load_tokenizer(folder)
    try:
        web = Tokenizer.from_file(str(folder / model_files.TOKENIZER))
    # The tokenizers library raises plain Exception for a broken file.
    except Exception as exc:
        raise StageFailed(f"unreadable tokenizer in {folder}: {exc}") from exc
    return Tokens(trained=trained, web=web)


def prove(
    conv: ConvTemplate,
    tokens: Tokens,
    rows: Sequence[tuple[str, Sequence[Message]]],
    system_prompt: str,
    progress: Progress,
) -> Proof:
    """Compare the tokens of every prompt that the page can be led to with the data at hand."""
    check_starts(tokens, conv["stop_token_ids"], lambda chat: pieces(conv, chat), system_prompt)
    prompts = longest = 0
    continues = _continues(conv, tokens, with_system(CHAT, system_prompt))
    for number, (where, messages) in enumerate(rows):
        progress.update(number, len(rows), where)
        longest = max(longest, len(tokens.trained_ids(messages, prompt=False)))
        for end, message in enumerate(messages, start=1):
            if message["role"] == "user":
                _compare(conv, tokens, where, messages[:end], system_prompt)
                continues = continues and _continues(conv, tokens, messages[:end])
                prompts += 1
    for text in (*SPECIAL_TEXTS, *((EDGE_TEXT,) if _keeps_edges(tokens) else ())):
        for messages in special_conversations(text, system_prompt):
            _compare(conv, tokens, f"the text {text!r}", messages, system_prompt)
            prompts += 1
    return Proof(
        rows=len(rows),
        prompts=prompts,
        longest=longest,
        continues=continues,
        empty_system=all(_empties(conv, tokens, messages) for messages in (CHAT[:1], CHAT)),
    )


def check_starts(
    tokens: Tokens,
    stop_ids: Sequence[int],
    texts: Callable[[Sequence[Message]], Sequence[str]],
    system_prompt: str,
) -> None:
    """Raise StageFailed where a prompt begins with two start tokens.

    ``texts`` gives the texts of a prompt that web-llm tokenizes one by one.
    """
    for messages in (CHAT[:1], CHAT):
        ids = tokens.web_ids(texts(with_system(messages, system_prompt)))
        check_start(tokens.trained, ids, stop_ids, "a prompt")


def _compare(
    conv: ConvTemplate,
    tokens: Tokens,
    where: str,
    messages: Sequence[Message],
    system_prompt: str,
) -> None:
    """Raise StageFailed unless web-llm's tokens are the trained ones."""
    found = tokens.web_ids(pieces(conv, messages))
    # A request without a system message gets the default one.
    whole = messages if messages[0]["role"] == "system" else with_system(messages, system_prompt)
    expected = tokens.trained_ids(whole)
    if found != expected:
        raise StageFailed(difference(tokens, where, found, expected), hint=PAGE_HINT)


def _continues(conv: ConvTemplate, tokens: Tokens, messages: Sequence[Message]) -> bool:
    """Tell whether a chat that goes on in web-llm's cache has the tokens of a fresh one.

    The cache holds the earlier prompt and the answer; web-llm adds the newest message to it.
    """
    answered = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
    if not answered:
        return True
    before = tokens.trained_ids(messages[: answered[-1]])
    added = tokens.web_ids(continued_pieces(conv, messages))
    expected = tokens.trained_ids(messages)
    answer = expected[len(before) : len(expected) - len(added)]
    text = tokens.web.decode(answer, skip_special_tokens=False)
    same_text = text == messages[answered[-1]]["content"]
    return same_text and before + answer + added == expected


def _empties(conv: ConvTemplate, tokens: Tokens, messages: Sequence[Message]) -> bool:
    """Tell whether a prompt with an empty system message is the template's; refused counts too."""
    emptied: list[Message] = [{"role": "system", "content": ""}, *messages]
    try:
        expected = tokens.trained_ids(emptied)
    except StageFailed:
        return True
    return tokens.web_ids(pieces(conv, emptied)) == expected


def _keeps_edges(tokens: Tokens) -> bool:
    """Tell whether the template leaves spaces around a message alone, as web-llm does."""
    return EDGE_TEXT in tokens.prompt([{"role": "user", "content": EDGE_TEXT}])


def difference(tokens: Tokens, where: str, found: Sequence[int], expected: Sequence[int]) -> str:
    """Return the sentence that says where two lists of token ids begin to differ."""
    pairs = zip(found, expected, strict=False)
    at = next(
        (i for i, (left, right) in enumerate(pairs) if left != right),
        min(len(found), len(expected)),
    )
    shown = [
        tokens.web.decode(list(ids[max(0, at - 3) : at + 4]), skip_special_tokens=False)
        for ids in (found, expected)
    ]
    return (
        f"{where}: web-llm's prompt differs from the training text at token {at}: "
        f"{shown[0]!r} instead of {shown[1]!r}"
    )
