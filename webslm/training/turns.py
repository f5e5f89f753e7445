"""Own which tokens of a conversation carry loss. Train nothing.

A token carries loss when the model itself must say it at run time: the text of an assistant turn
and the stop token that ends it. Proved per row by rendering the conversation turn by turn: what
the page sends as a prompt must be, token for token, what precedes the answer in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webslm.basics.errors import ConfigError, StageFailed
from webslm.model.prompts import rendering
from webslm.model.prompts.ends import check_start, follows
from webslm.rows.roles import Messages, answers, is_learnt, plain
from webslm.schema import Loss
from webslm.training.loading import load_tokenizer

IGNORED = -100
"""Label of a token without loss."""
SHOWN = 40
"""Characters of a text that a sentence quotes."""


@dataclass(frozen=True, kw_only=True)
class EncodedRow:
    """One conversation as tokens; ``labels`` holds the token itself or ``IGNORED``."""

    number: int
    """Line in the file, from 1."""
    input_ids: list[int]
    labels: list[int]

    @property
    def trained(self) -> int:
        """Return how many tokens carry loss."""
        return sum(label != IGNORED for label in self.labels)


def encode(
    tokenizer: Any, messages: Messages, *, number: int, stops: frozenset[int], loss: Loss
) -> list[EncodedRow]:
    """Render and tokenize one conversation and mark what is learnt.

    Where the template renders an answer otherwise once the conversation goes on (thoughts of past
    answers go, say), no one text holds all of them as they are said: the answers are then learnt
    one by one, each in a row of its own that ends with it.

    Returns:
        One row, or one for each answer.

    Raises:
        ConfigError: The chat template refuses the roles of the row, or a text holds a stop token.
        StageFailed: A prompt is not a prefix of its training row, text that is not the row's
            would be learnt, or an answer's stop token is missing: such a model would never have
            been asked what it learnt, or never stop.
    """
    _check_texts(tokenizer, messages, number, stops)
    told = [_answer(tokenizer, messages, at, number, stops) for at in answers(messages)]
    whole = _tokens(tokenizer, messages, number, prompt=False)
    check_start(tokenizer, whole, stops, f"row {number}")
    if all(whole[: answer.end] == answer.ids[: answer.end] for answer in told):
        return [_row(number, whole, told, loss)]
    return [_row(number, answer.ids, [answer], loss) for answer in told if answer.is_learnt]


def encode_last(
    tokenizer: Any, messages: Messages, *, number: int, stops: frozenset[int]
) -> tuple[list[int], list[int]]:
    """Return (prompt, answer with its stop token) of a conversation's last message.

    Raises:
        ConfigError: As ``encode``.
        StageFailed: As ``encode``.
    """
    _check_texts(tokenizer, messages, number, stops)
    answer = _answer(tokenizer, messages, len(messages) - 1, number, stops)
    check_start(tokenizer, answer.ids, stops, f"row {number}")
    return answer.ids[: answer.begin], answer.ids[answer.begin : answer.end]


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """An answer as the last message of its conversation."""

    ids: list[int]
    """Tokens of the conversation up to it."""
    begin: int
    end: int
    """Behind its stop token."""
    is_learnt: bool


def _answer(
    tokenizer: Any, messages: Messages, index: int, number: int, stops: frozenset[int]
) -> _Answer:
    """Return where an answer stands, having proved that it is what is learnt and asked for."""
    asked = _text(tokenizer, messages[:index], number, prompt=True)
    told = _text(tokenizer, messages[: index + 1], number, prompt=False)
    prompt, ids = rendering.tokenized(tokenizer, asked), rendering.tokenized(tokenizer, told)
    where = f"row {number}, message {index + 1}"
    if ids[: len(prompt)] != prompt:
        option = rendering.helpful_option(tokenizer, messages, index)
        raise StageFailed(
            f"{where}: the prompt's tokens are not the ones that precede the answer in the "
            f"training row: {_parting(asked, told)}",
            hint=f"{option} makes them the same" if option else rendering.OTHER_TEMPLATE,
        )
    stop = next((at for at in range(len(prompt), len(ids)) if ids[at] in stops), None)
    if stop is None:
        raise StageFailed(
            f"{where}: no stop token follows the answer",
            hint="the base's chat template must end an assistant turn with an eos token",
        )
    ended = tokenizer.decode([ids[stop]]).strip()
    _check_learnt(told[len(asked) :], messages[index]["content"], ended, where)
    return _Answer(ids=ids, begin=len(prompt), end=stop + 1, is_learnt=is_learnt(messages[index]))


def _check_learnt(rest: str, content: str, stop: str, where: str) -> None:
    """Raise StageFailed where what follows a prompt is not the row's answer and its stop token."""
    wanted = content.strip()
    before, said, after = rest.partition(wanted) if wanted else ("", stop, rest)
    if said and not before.strip() and follows(after, stop):
        return
    learnt = rest.partition(stop)[0]
    # A template may set the white space inside an answer anew, as around its thoughts.
    if "".join(learnt.split()) == "".join(wanted.split()):
        return
    raise StageFailed(
        f"{where}: the chat template makes {learnt.strip()[:SHOWN]!r} of the answer "
        f"{wanted[:SHOWN]!r}, and that would be learnt and said",
        hint="write the answer as the template renders it, or " + rendering.OTHER_TEMPLATE,
    )


def _parting(asked: str, told: str) -> str:
    """Return where a prompt and the row that should begin with it part."""
    pairs = enumerate(zip(asked, told, strict=False))
    at = next((at for at, (one, two) in pairs if one != two), min(len(asked), len(told)))
    if at == len(asked):
        return "its last token joins the answer's first letters"
    start = max(0, at - SHOWN // 2)
    return f"{asked[start : at + SHOWN]!r} is asked, {told[start : at + SHOWN]!r} is learnt"


def _row(number: int, ids: list[int], told: Sequence[_Answer], loss: Loss) -> EncodedRow:
    labels = list(ids) if loss is Loss.full else [IGNORED] * len(ids)
    for answer in told:
        said = ids[answer.begin : answer.end]
        labels[answer.begin : answer.end] = said if answer.is_learnt else [IGNORED] * len(said)
    return EncodedRow(number=number, input_ids=ids, labels=labels)


def encode_all(
    tokenizer: Any,
    rows: Sequence[Messages],
    *,
    stops: frozenset[int],
    loss: Loss,
    max_length: int,
    positions: int | None = None,
) -> list[EncodedRow]:
    """Encode every row, in order; none is cut.

    ``positions`` is how many tokens the base was made for, where that is known.

    Raises:
        ConfigError: Rows are longer than ``max_length`` tokens (all of them are named), or none
            has an assistant turn.
    """
    encoded = [
        row
        for number, messages in enumerate(rows, 1)
        for row in encode(tokenizer, messages, number=number, stops=stops, loss=loss)
    ]
    longest = max((len(row.input_ids) for row in encoded), default=0)
    problems = tuple(
        (
            f"lora.max_length: training row {row.number} has {len(row.input_ids)} tokens, "
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
            raise ConfigError(f"training row {row.number}: no assistant turn to learn from")
    return encoded


def sample(tokenizer: Any, row: EncodedRow) -> list[dict[str, Any]]:
    """Return runs of a row's text with whether they carry loss, for a person to read."""
    runs: list[tuple[bool, list[int]]] = []
    for token, label in zip(row.input_ids, row.labels, strict=True):
        carries = label != IGNORED
        if not runs or runs[-1][0] != carries:
            runs.append((carries, []))
        runs[-1][1].append(token)
    return [{"loss": carries, "text": tokenizer.decode(ids)} for carries, ids in runs]


def _tokens(tokenizer: Any, messages: Messages, number: int, *, prompt: bool) -> list[int]:
    return rendering.tokenized(tokenizer, _text(tokenizer, messages, number, prompt=prompt))


def _text(tokenizer: Any, messages: Messages, number: int, *, prompt: bool) -> str:
    said = [plain(message) for message in messages]
    try:
        return rendering.text(tokenizer, said, prompt=prompt)
    except rendering.Refused as exc:
        raise ConfigError(f"row {number}: {exc.message}", hint=exc.hint) from exc
    except StageFailed as exc:
        raise StageFailed(f"row {number}: {exc.message}", hint=exc.hint) from exc


def _check_texts(tokenizer: Any, messages: Messages, number: int, stops: frozenset[int]) -> None:
    for index, message in enumerate(messages, 1):
        found = stops.intersection(rendering.tokenized(tokenizer, message["content"]))
        if found:
            raise ConfigError(
                f"row {number}, message {index}: its text holds the stop token "
                f"{tokenizer.decode([min(found)])!r}, which ends a turn",
                hint="take it out of the text",
            )


def probe_ids(base: Path, rows: Sequence[Messages], *, count: int, tokens: int) -> list[list[int]]:
    """Return the first ``tokens`` tokens of ``count`` rows evenly spaced over the data."""
    tokenizer = load_tokenizer(base)
    spacing = max(1, len(rows) // count)
    return [
        _tokens(tokenizer, messages, number + 1, prompt=False)[:tokens]
        for number, messages in list(enumerate(rows))[::spacing][:count]
    ]
