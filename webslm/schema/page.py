"""Own what a user says of the site, its host and its proof."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from webslm.schema.choices import Graphics, Mode, Prompts, Retriever


@dataclass
class DecodingConf:
    """How the page samples."""

    temperature: float = 0.7
    """0 to 2; 0 is greedy."""
    top_p: float = 0.8
    """Share of probability that is sampled from."""
    repetition_penalty: float = 1.0
    """1 is none."""
    max_tokens: int = 256
    """Longest answer."""
    seed: int | None = None
    """null: another answer each time."""


@dataclass
class ProofModeConf:
    """What the page's comparison of base and fine-tune asks."""

    questions: int = 4
    """Questions offered of each split (trained, held out), evenly spaced over its rows."""
    samples: int = 2
    """Answers of each model to each question, unless the visitor chooses otherwise."""


@dataclass
class RetrievalConf:
    """How the page finds passages for the base model."""

    method: Retriever = Retriever.tfidf
    """How passages are ranked."""
    passages: int = 3
    """Most passages quoted in one question."""
    min_score: float = 0.01
    """Lowest score of a quoted passage."""


@dataclass
class AppConf:
    """The page."""

    name: str = "chat"
    title: str = MISSING
    """Follows ``domain.title``."""
    modes: list[Mode] = field(default_factory=lambda: [Mode.chat])
    """Tabs, in order; proof and product add the base's weights to the site."""
    decoding: DecodingConf = field(default_factory=DecodingConf)
    proof: ProofModeConf = field(default_factory=ProofModeConf)
    retrieval: RetrievalConf = field(default_factory=RetrievalConf)
    answer_schema: dict[str, Any] = field(default_factory=dict)
    """JSON Schema that the structured mode starts with."""
    template: Prompts = Prompts.block
    """block: web-llm renders prompts, from a block proved equal to the chat template; page: the
    page renders the template itself, for templates that no block can say."""


@dataclass
class HostConf:
    """Where the site will lie, as far as sizes go."""

    name: str = "static"
    max_file_bytes: int | None = None
    """Largest file that the host takes; null: no limit."""
    max_site_bytes: int | None = None
    """Largest site that the host takes; null: no limit."""
    url: str | None = None
    """Address that the site will have; null: not known, and the model record stays relative."""
    shard_bytes: int = 33554432
    """Size at which a shard of weights is closed; a larger tensor gets a shard of its own."""


@dataclass
class VerifyConf:
    """What a browser must show before a build is believed."""

    name: str = "browser"
    num_prompts: int = 5
    """First questions of training rows asked, evenly spaced: torch's whole answers are fed."""
    num_follow_ups: int = 1
    """Last questions of conversations asked likewise, where training rows have several answers."""
    num_greedy: int = 2
    """Of these, how many the browser begins by itself as well, token by token."""
    num_tokens: int = 16
    """Tokens that it says by itself."""
    max_answer_tokens: int = 128
    """Longest answer that is fed, and compared with the row's."""
    max_visit_tokens: int = 48
    """Pieces of the page's own first answer after which Stop is pressed."""
    min_greedy_agreement: float = 1.0
    """Lowest share of prompts with the dequantized reference's greedy tokens (ties aside)."""
    min_forced_top1_agreement: float = 0.99
    """Lowest share of positions with torch's best token, when torch's tokens are fed."""
    tie_gap: float = 1e-3
    """A first difference is a tie when the reference's two best logits are closer than this."""
    min_answers: int = 4
    """Fewest answers that must reach ``min_rouge_l`` and stop by themselves; 0: tokens are
    compared, their words are not judged."""
    min_follow_ups: int = 0
    """Fewest follow-ups of which the same must hold."""
    min_rouge_l: float = 0.8
    """ROUGE-L F1 with the row's answer that counts as learnt."""
    timeout_s: int = 300
    """Longest wait for the page, in seconds."""
    graphics: Graphics = Graphics.auto
    """lavapipe: Mesa's driver for processors, with float16; swiftshader: Chromium's own, without;
    auto: the first where it is installed, else the second; hardware: this machine's GPU."""
    browser: str | None = None
    """Path or name of the browser; null: ``WEBSLM_BROWSER``, then what is found."""
