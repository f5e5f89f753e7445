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
    train_path: str | None = MISSING
    """Chat JSONL; ``shipped:`` paths lie in the package; null: rows come from ``data``."""
    held_out_path: str | None = None
    """Chat JSONL that is never trained; null: a share of the training rows is split off."""
    paraphrases_path: str | None = None
    """Chat JSONL of training questions in other words, each with the answer it should get."""
    knowledge_path: str | None = None
    """JSON list of {id, title, content}."""
    closing: str | None = None
    """Regular expression that the last sentence of every answer must match; null: no rule."""
    disclaimer: str = MISSING
    """Always visible on the page."""
    questions: list[str] | None = None
    """Example questions offered by the page; null: some that were trained."""


@dataclass
class HubRowsConf:
    """A dataset of the Hugging Face hub, pinned."""

    id: str | None = None
    """OWNER/NAME; null: rows come from ``data.path``."""
    revision: str | None = None
    """Full commit of 40 hex digits; branches float."""
    files: str = "*"
    """Which of its data files (JSONL, JSON, CSV, TSV, Parquet): a pattern such as train/*."""


@dataclass
class DataConf:
    """Which rows are learnt, and the rules for them."""

    path: str | None = None
    """JSONL, JSON, CSV, TSV or Parquet file, also packed, or a folder; follows the domain unless
    set."""
    held_out_path: str | None = None
    """Rows kept out of training; null: a share of ``path`` is split off."""
    paraphrases_path: str | None = None
    """Questions of ``path`` in other words, each with the trained answer it should get: asked by
    ``evaluate``, never trained. A domain's own rows bring theirs."""
    rehearsal_path: str | None = None
    """Rows of general knowledge, without system prompt, that are learnt beside those of ``path`` so
    that the base keeps what it knew; never counted or asked as the data's own. null: none."""
    held_out_fraction: float = 0.1
    """Share of ``path`` kept out when there is no ``held_out_path``."""
    hub: HubRowsConf = field(default_factory=HubRowsConf)
    columns: dict[str, str] = field(default_factory=dict)
    """Column of each part: question and answer (and system), or messages; empty: by shape."""
    system: str | None = None
    """System prompt put in front of every row, in place of its own; null: rows keep theirs."""
    skip_bad: bool = False
    """Whether rows with mistakes, repeated and leaked ones are left out and counted."""
    closing: str | None = None
    """As ``domain.closing``, which it follows."""
    signatures: dict[str, str] = field(default_factory=dict)
    """Regular expressions that answers are expected to match, by name; shares are reported."""
    near_duplicate: float = 0.8
    """Jaccard similarity of shingles from which two questions or answers count as the same."""
    refuse: list[str] = field(default_factory=list)
    """Findings that end the build, such as [personal_data,near_leaks]."""
    seed: int = 0
    """Of the split; follows the build's."""
