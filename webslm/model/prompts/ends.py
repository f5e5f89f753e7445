"""Own where an answer ends and how a prompt starts, for training, configuration, page and proof.

An answer ends at its first stop token; white space may stand before it. A stop token is one that
the checkpoint declares, or that the chat template puts after an answer.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from webslm.basics import model_files
from webslm.basics.errors import StageFailed
from webslm.model.prompts import rendering

FIRST, ANSWER, SECOND = "zqFirstqz", "zqAnswerqz", "zqSecondqz"
"""Contents that no template has."""
ASKED: tuple[Mapping[str, str], ...] = ({"role": "user", "content": FIRST},)
ANSWERED = (*ASKED, {"role": "assistant", "content": ANSWER})
ASKED_ON = (*ANSWERED, {"role": "user", "content": SECOND})
SYSTEM = {"role": "system", "content": "zqSystemqz"}
CONFIGS = (model_files.GENERATION, model_files.CONFIG)
"""Where a checkpoint declares its end tokens; the first that does counts, as in transformers."""


def stop_ids(checkpoint: Path, tokenizer: Any) -> frozenset[int]:
    """Return the ids that end an answer: declared, the tokenizer's own, the template's.

    Raises:
        StageFailed: There are none, a file is broken, or no token has a declared id.
    """
    found = {*_declared(checkpoint), tokenizer.eos_token_id} - {None}
    found |= _of_template(tokenizer, found)
    ids = frozenset(int(index) for index in found)
    if not ids:
        raise StageFailed(
            "the base names no stop token", hint="add eos_token_id to its generation_config.json"
        )
    unknown = sorted(index for index in ids if tokenizer.convert_ids_to_tokens(index) is None)
    if unknown:
        raise StageFailed(f"{CONFIGS[0]}: no tokens with the ids {unknown}")
    return ids


def check_ending(tokenizer: Any, stops: Collection[int]) -> None:
    """Raise StageFailed unless the template ends answers at a stop token.

    Raises:
        StageFailed: It does not, it does not render an answer, or it fails.
    """
    after = _after_answers(tokenizer)
    if not after:
        raise StageFailed(
            "the chat template does not render the answer of a conversation",
            hint="nothing says where an answer ends; " + rendering.OTHER_TEMPLATE,
        )
    if not any(_first_token(tokenizer, text) in stops for text in after):
        raise StageFailed(
            f"the chat template ends an answer with {after[-1][:20]!r}, no special token",
            hint="a model stops at a token: choose a base whose template has an end-of-turn token",
        )


def follows(after: str, stop: str) -> bool:
    """Tell whether a text that follows an answer is a stop token's, but for white space."""
    return after.lstrip().startswith(stop)


def check_start(tokenizer: Any, ids: Sequence[int], stops: Collection[int], where: str) -> None:
    """Raise StageFailed where a rendered text begins with the start token twice.

    Later ones are the template's own: families start every question anew (Llama 2), or have the
    token that opens a turn as their start token (SmolLM2).
    """
    start = tokenizer.bos_token_id
    if start is None or start in stops or list(ids[:2]) != [start, start]:
        return
    raise StageFailed(
        f"{where} begins with the start token {tokenizer.bos_token!r} twice",
        hint="take one out of the chat template of tokenizer_config.json",
    )


def opening(tokenizer: Any) -> str:
    """Return what a template writes between a prompt and the answer; "" where that is nothing.

    White space alone is nothing: its tokens join the answer's.
    """
    found = set()
    for asked in (ASKED, ASKED_ON):
        answer = {"role": "assistant", "content": ANSWER}
        try:
            prompt = _rendered(tokenizer, asked, prompt=True)
            told = _rendered(tokenizer, [*asked, answer], prompt=False)
        except StageFailed:
            continue
        added = told.removeprefix(prompt)
        once = told.startswith(prompt) and added.count(ANSWER) == 1
        found.add(added.partition(ANSWER)[0] if once else "")
    text = found.pop() if len(found) == 1 else ""
    # A space at the end belongs to the answer's first token.
    return text.rstrip(" ") if text.strip() else ""


def _rendered(tokenizer: Any, messages: rendering.Messages, *, prompt: bool) -> str:
    """Return a conversation's text; with a system message where the template wants one."""
    try:
        return rendering.text(tokenizer, messages, prompt=prompt)
    except StageFailed:
        with suppress(StageFailed):
            return rendering.text(tokenizer, [SYSTEM, *messages], prompt=prompt)
        raise


def _of_template(tokenizer: Any, declared: Collection[int | None]) -> set[int]:
    """Return the tokens that the template puts after an answer."""
    try:
        after = _after_answers(tokenizer)
        first = _rendered(tokenizer, ASKED, prompt=True).partition(FIRST)[0]
    except StageFailed:
        return set()
    header = first.removeprefix(tokenizer.bos_token or "").lstrip()
    found = set()
    for text in after:
        index = _first_token(tokenizer, text)
        # What opens the next turn ends none, unless the checkpoint says so (GLM).
        if index is not None and (
            index in declared or not header.startswith(tokenizer.convert_ids_to_tokens(index))
        ):
            found.add(index)
    return found


def _after_answers(tokenizer: Any) -> list[str]:
    """Return what follows an answer that is the last message, and one that is not.

    Raises:
        StageFailed: The template fails on a conversation of one answer.
    """
    texts = [_rendered(tokenizer, ANSWERED, prompt=False)]
    with suppress(StageFailed):
        texts.append(_rendered(tokenizer, ASKED_ON, prompt=True))
    return [after for _, said, after in (text.rpartition(ANSWER) for text in texts) if said]


def _first_token(tokenizer: Any, after: str) -> int | None:
    """Return the added token with which a text begins, but for white space."""
    found = [name for name in tokenizer.get_added_vocab() if name and follows(after, name)]
    index: int | None = tokenizer.convert_tokens_to_ids(max(found, key=len)) if found else None
    return index


def _declared(checkpoint: Path) -> set[int | None]:
    for name in CONFIGS:
        file = checkpoint / name
        if not file.is_file():
            continue
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as exc:
            raise StageFailed(f"unreadable {file}: {exc}") from exc
        found = config.get("eos_token_id") if isinstance(config, dict) else None
        if found is not None:
            return set(found) if isinstance(found, list) else {found}
    return set()
