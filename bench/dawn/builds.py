"""Own what a finished build says of itself: its configuration, its stage folders, its questions.

The references are those of the stage ``verify``, computed by its own functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webslm.basics.errors import ConfigError
from webslm.basics.paths import cache_dir
from webslm.config.compose import to_config
from webslm.engine.lock.file import read_lock
from webslm.engine.store.artifacts import Cache
from webslm.engine.table import STAGES
from webslm.proof.observe import KEPT_LOGITS
from webslm.proof.questions import TrainedQuestion, asked_rows
from webslm.proof.verdict import Reference
from webslm.schema import Config, VerifyStageConf
from webslm.stages.golden import dequantized_answers
from webslm.stages.verify import refer

PROMPT_SHARES = (8, 2)
"""Prompts of a context's 8th part and of its half are timed."""
TOKENS_AFTER = 64
ANSWER_TOKENS = 128
REPEATS = 5
MAX_UNTRAINED = 8


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Conversations, and what torch says to each."""

    rows: list[TrainedQuestion]
    references: list[Reference]

    def runs(self) -> list[dict[str, Any]]:
        """Return the continuations to force, in the order that ``verdict.score`` expects."""
        return [
            {"prompt": reference.prompt, "continuation": reference.greedy["dequantized"].tokens}
            for reference in self.references
        ]


@dataclass(frozen=True, kw_only=True)
class Build:
    """One output folder with all that its proof needs."""

    name: str
    bundle: Path
    verify: VerifyStageConf
    quant: str
    web_llm: str
    questions: dict[str, Questions]
    """``trained``: those that verify asks; ``untrained``: every held-out one, where the model is
    unsure and the two best logits lie close."""

    def job(self) -> dict[str, Any]:
        """Return what ``drive.mjs`` is to ask and to force."""
        asked = self.questions.values()
        return {
            "questions": [row.messages for questions in asked for row in questions.rows],
            "maxTokens": max(self.verify.verify.max_answer_tokens, self.verify.verify.num_tokens),
            "keep": KEPT_LOGITS,
            "runs": [run for questions in asked for run in questions.runs()],
        }


def read_build(folder: Path) -> tuple[Build, dict[str, Any]]:
    """Return a build and its job.

    Args:
        folder: ``outputs/<name>``, or the bundle in it.

    Raises:
        ConfigError: It is no output of webslm, or the store no longer has its stages.
    """
    folder = folder.parent if folder.name == "bundle" else folder
    lock = read_lock(folder)
    config = _config(lock)
    inputs = _stage_folders(lock)
    verify = next(spec for spec in STAGES if spec.name == "verify").configure(config)
    assert isinstance(verify, VerifyStageConf)
    rows = {
        "trained": asked_rows(inputs["data"] / "train.jsonl", verify.verify.num_prompts),
        "untrained": asked_rows(inputs["data"] / "held_out.jsonl", MAX_UNTRAINED),
    }

    def referred(some: list[TrainedQuestion]) -> list[Reference]:
        limit = verify.verify.max_answer_tokens
        said = dequantized_answers(some, config.base.shape, config.quant, inputs, limit=limit)
        return refer(some, verify.verify, inputs, said)

    build = Build(
        name=config.name,
        bundle=folder / "bundle",
        verify=verify,
        quant=config.quant.name,
        web_llm=config.runtime.web_llm,
        questions={
            name: Questions(rows=some, references=referred(some)) for name, some in rows.items()
        },
    )
    return build, build.job() | {"speed": _speed(config, rows["trained"][0])}


def speed_job(prompts: list[int], messages: Any) -> dict[str, Any]:
    """Return what ``speed.mjs`` is to time: prompts by their tokens, and one conversation."""
    return {
        "messages": messages,
        "prompts": prompts,
        "tokensAfter": TOKENS_AFTER,
        "answerTokens": ANSWER_TOKENS,
        "repeats": REPEATS,
    }


def _speed(config: Config, row: TrainedQuestion) -> dict[str, Any]:
    context = config.compiler.context_window_size
    prompts = sorted({context // share for share in PROMPT_SHARES})
    return speed_job(prompts, row.messages)


def _config(lock: Mapping[str, Any]) -> Config:
    from omegaconf import OmegaConf

    return to_config(OmegaConf.merge(OmegaConf.structured(Config), lock["config"]))


def _stage_folders(lock: Mapping[str, Any]) -> dict[str, Path]:
    cache = Cache(cache_dir())
    folders = {}
    for stage in ("data", "base", "merge", "normalize", "convert"):
        found = cache.lookup(stage, lock["stages"][stage]["key"])
        if found is None:
            raise ConfigError(
                f"{lock['name']}: the store {cache.root} has no {stage} of this build",
                hint="build it again, or set WEBSLM_CACHE to the store it was built with",
            )
        folders[stage] = found.path
    return folders
