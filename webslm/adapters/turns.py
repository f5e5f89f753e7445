"""Own which tokens of a conversation carry loss. Train nothing.

A token carries loss when the model itself must say it at run time: the text of an assistant turn
and the stop token that ends it. Proved per row by rendering the conversation turn by turn: what
the page sends as a prompt must be, token for token, what precedes the answer in training.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webslm.adapters.loading import load_tokenizer
from webslm.errors import ConfigError, StageFailed
from webslm.schema import Loss

IGNORED = -100
"""Label of a token without loss."""

Messages = list[dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One conversation as tokens; ``labels`` holds the token itself or ``IGNORED``."""

    number: int
    """Line in the file, from 1."""
    input_ids: list[int]
    labels: list[int]

    @property
    def trained(self) -> int:
        """Return how many tokens carry loss."""
        return sum(label != IGNORED for label in self.labels)


def read_rows(path: Path) -> list[Messages]:
    """Return the conversations of a JSONL file as the data stage wrote it."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line)["messages"] for line in file if line.strip()]


def stop_ids(checkpoint: Path, tokenizer: Any) -> frozenset[int]:
    """Return the ids that end an answer: those of generation_config.json and the tokenizer's.

    Raises:
        StageFailed: There are none.
    """
    found: set[int | None] = {tokenizer.eos_token_id}
    file = checkpoint / "generation_config.json"
    if file.is_file():
        declared = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id")
        found.update(declared if isinstance(declared, list) else [declared])
    ids = frozenset(token for token in found if token is not None)
    if not ids:
        raise StageFailed(
            "the base names no stop token", hint="add eos_token_id to its generation_config.json"
        )
    return ids


def encode(
    tokenizer: Any, messages: Messages, *, number: int, stops: frozenset[int], loss: Loss
) -> Row:
    """Render and tokenize one conversation and mark what is learnt.

    Raises:
        ConfigError: The chat template refuses the roles of the row, or a text holds a stop token.
        StageFailed: A prompt is not a prefix of its training row, or an answer's stop token is
            missing: such a model would never have been asked what it learnt, or never stop.
    """
    _check_texts(tokenizer, messages, number, stops)
    ids = _tokens(tokenizer, messages, number, prompt=False)
    _check_one_start(tokenizer, ids, number)
    labels = [IGNORED] * len(ids)
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt = _tokens(tokenizer, messages[:index], number, prompt=True)
        end = _end_of_turn(ids, len(prompt), stops)
        if ids[: len(prompt)] != prompt:
            raise StageFailed(
                f"row {number}, message {index + 1}: the prompt's tokens are not the ones that "
                "precede the answer in the training row",
                hint="the base's chat template renders past turns differently; use another base",
            )
        told = _tokens(tokenizer, messages[: index + 1], number, prompt=False)
        if end is None or told[:end] != ids[:end]:
            raise StageFailed(
                f"row {number}, message {index + 1}: no stop token follows the answer",
                hint="the base's chat template must end an assistant turn with an eos token",
            )
        labels[len(prompt) : end] = ids[len(prompt) : end]
    return Row(number=number, input_ids=ids, labels=list(ids) if loss is Loss.full else labels)


def encode_all(
    tokenizer: Any,
    rows: Sequence[Messages],
    *,
    stops: frozenset[int],
    loss: Loss,
    max_length: int,
    positions: int | None = None,
) -> list[Row]:
    """Encode every row; none is cut.

    ``positions`` is how many tokens the base was made for, where that is known.

    Raises:
        ConfigError: Rows are longer than ``max_length`` tokens (all of them are named), or none
            has an assistant turn.
    """
    encoded = [
        encode(tokenizer, messages, number=number, stops=stops, loss=loss)
        for number, messages in enumerate(rows, 1)
    ]
    longest = max((len(row.input_ids) for row in encoded), default=0)
    problems = tuple(
        (
            f"lora.max_length: train.jsonl line {row.number} has {len(row.input_ids)} tokens, "
            f"{max_length} are allowed",
            f"set lora.max_length={longest} or shorten the row"
            if positions is None or longest <= positions
            else f"shorten the row: the base was made for {positions} tokens",
        )
        for row in encoded
        if len(row.input_ids) > max_length
    )
    if problems:
        raise ConfigError(problems=problems)
    for row in encoded:
        if not row.trained:
            raise ConfigError(f"train.jsonl line {row.number}: no assistant turn to learn from")
    return encoded


def sample(tokenizer: Any, row: Row) -> list[dict[str, Any]]:
    """Return runs of a row's text with whether they carry loss, for a person to read."""
    runs: list[tuple[bool, list[int]]] = []
    for token, label in zip(row.input_ids, row.labels, strict=True):
        carries = label != IGNORED
        if not runs or runs[-1][0] != carries:
            runs.append((carries, []))
        runs[-1][1].append(token)
    return [{"loss": carries, "text": tokenizer.decode(ids)} for carries, ids in runs]


def prompt_ids(tokenizer: Any, messages: Messages) -> list[int]:
    """Return the tokens a page sends to get the next assistant turn."""
    return _tokens(tokenizer, messages, 0, prompt=True)


def _tokens(tokenizer: Any, messages: Messages, number: int, *, prompt: bool) -> list[int]:
    from jinja2.exceptions import TemplateError

    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
    except TemplateError as exc:
        raise ConfigError(
            f"row {number}: the base's chat template refuses it: {exc}",
            hint="for a base without system role, base.system_fold puts it into the user message",
        ) from exc
    # The template writes the special tokens itself; adding them again would start a row twice.
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _check_texts(tokenizer: Any, messages: Messages, number: int, stops: frozenset[int]) -> None:
    for index, message in enumerate(messages, 1):
        found = stops.intersection(
            tokenizer(message["content"], add_special_tokens=False)["input_ids"]
        )
        if found:
            raise ConfigError(
                f"row {number}, message {index}: its text holds the stop token "
                f"{tokenizer.decode([min(found)])!r}, which ends a turn",
                hint="take it out of the text",
            )


def _check_one_start(tokenizer: Any, ids: Sequence[int], number: int) -> None:
    start = tokenizer.bos_token_id
    if start is not None and start != tokenizer.eos_token_id and ids.count(start) > 1:
        raise StageFailed(f"row {number}: the start token {start} stands there more than once")


def _end_of_turn(ids: Sequence[int], start: int, stops: frozenset[int]) -> int | None:
    """Return the index after the first stop token from ``start`` on."""
    for index in range(start, len(ids)):
        if ids[index] in stops:
            return index + 1
    return None


def probe_ids(base: Path, rows: Sequence[Messages], *, count: int, tokens: int) -> list[list[int]]:
    """Return the first ``tokens`` tokens of ``count`` rows evenly spaced over the data."""
    tokenizer = load_tokenizer(base)
    spacing = max(1, len(rows) // count)
    return [
        _tokens(tokenizer, messages, number + 1, prompt=False)[:tokens]
        for number, messages in list(enumerate(rows))[::spacing][:count]
    ]
