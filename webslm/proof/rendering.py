"""Own the proof that a page renders a chat template as the tokenizer does. Load no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from webslm.basics import paths
from webslm.basics.errors import VerificationFailed
from webslm.basics.stage import Progress
from webslm.proof.browser import Tab

RENDER = paths.PACKAGE / "proof" / "page" / "render.js"
BATCH = 500
"""Conversations handed to the page at once."""
SHOWN = 24
"""Characters around a difference."""
HINT = (
    "app.template=block needs no Jinja in the page; or base.template_path=FILE takes the same "
    "chat template in plainer Jinja"
)
Wanted = tuple[str, Sequence[Mapping[str, str]], str]
"""Where a conversation stands, its messages, and its prompt as the tokenizer renders it."""


def compare_in(page: Tab, wanted: Sequence[Wanted], progress: Progress) -> None:
    """Render every conversation in an open page of a bundle; compare the texts.

    Raises:
        VerificationFailed: The page cannot render one, or renders another text.
    """
    render = RENDER.read_text(encoding="utf-8")
    for start in range(0, len(wanted), BATCH):
        batch = wanted[start : start + BATCH]
        progress.update(start, len(wanted), "rendering prompts in the page")
        chats = [[dict(message) for message in chat] for _, chat, _ in batch]
        seen = page.call(render, chats, "rendering the chat template in the page")
        for (where, _, text), one in zip(batch, seen, strict=True):
            judge(where, text, one)


def judge(where: str, wanted: str, seen: Mapping[str, Any]) -> None:
    """Raise VerificationFailed unless the page rendered the wanted text.

    Args:
        where: Where the conversation stands.
        wanted: The tokenizer's rendering.
        seen: The page's ``text``, or the ``error`` in its place.
    """
    if "error" in seen:
        raise VerificationFailed(
            f"the page's Jinja cannot render the chat template: {where}: {seen['error']}",
            hint=HINT,
        )
    text = str(seen["text"])
    if text != wanted:
        pairs = enumerate(zip(text, wanted, strict=False))
        at = next((i for i, (a, b) in pairs if a != b), min(len(text), len(wanted)))
        here = slice(max(0, at - SHOWN), at + SHOWN)
        raise VerificationFailed(
            f"the page renders another prompt than the tokenizer: {where}: "
            f"{text[here]!r} instead of {wanted[here]!r}",
            hint=HINT,
        )
