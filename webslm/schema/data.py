"""Own what a user says of a domain and its rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING


@dataclass
class DomainConf:
    """What the assistant is about."""

    name: str = MISSING
    title: str = MISSING
    """Heading of the page and name of the installed app."""
    train_path: str = MISSING
    """Chat JSONL; ``shipped:`` paths lie in the package."""
    held_out_path: str | None = None
    """Chat JSONL that is never trained; null: a share of the training rows is split off."""
    knowledge_path: str | None = None
    """JSON list of {id, title, content}."""
    closing: str | None = None
    """Regular expression that the last sentence of every answer must match; null: no rule."""
    disclaimer: str = MISSING
    """Always visible on the page."""
    questions: list[str] = field(default_factory=list)
    """Example questions offered by the page."""


@dataclass
class DataConf:
    """Which rows are learnt."""

    path: str = MISSING
    """Chat JSONL to learn; follows the domain unless set."""
    held_out_path: str | None = None
    """Rows kept out of training; null: a share of ``path`` is split off."""
    held_out_fraction: float = 0.1
    """Share of ``path`` kept out when there is no ``held_out_path``."""
    closing: str | None = None
    """As ``domain.closing``, which it follows."""
    seed: int = 0
    """Of the split; follows the build's."""
