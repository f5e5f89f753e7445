"""Own what a finished build says of itself: its configuration, its stage folders, its questions.

The references are those of the stage ``verify``, computed by its own functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webslm.cache import Cache
from webslm.compose import to_config
from webslm.errors import ConfigError
from webslm.lock import read_lock
from webslm.paths import cache_dir
from webslm.proof.observe import KEPT_LOGITS, Run
from webslm.proof.verdict import REFERENCES, Reference, Row
from webslm.registry import STAGES
from webslm.schema import Config, VerifyStageConf
from webslm.stages.verify import pick_rows, refer

PREFILL_SHARES = (8, 2)
"""Prompts of a context's 8th part and of its half are timed."""
DECODE_TOKENS = 128
REPEATS = 3


@dataclass(frozen=True, kw_only=True)
class Build:
    """One output folder with all that its proof needs."""

    name: str
    bundle: Path
    verify: VerifyStageConf
    quant: str
    web_llm: str
    rows: list[Row]
    references: list[Reference]

    def job(self) -> dict[str, Any]:
        """Return what ``drive.mjs`` is to do."""
        return {
            "questions": [row.messages for row in self.rows],
            "maxTokens": max(self.verify.verify.max_answer_tokens, self.verify.verify.num_tokens),
            "keep": KEPT_LOGITS,
            "runs": [
                {"prompt": run.prompt, "continuation": run.continuation} for run in self.runs()
            ],
        }

    def runs(self) -> list[Run]:
        """Return the continuations to force, in the order that ``verdict.score`` expects."""
        return [
            Run(question=index, prompt=reference.prompt, continuation=reference.greedy[name].tokens)
            for index, reference in enumerate(self.references)
            for name in REFERENCES
        ]


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
    rows = pick_rows(inputs["data"] / "train.jsonl", verify.verify.num_prompts)
    build = Build(
        name=config.name,
        bundle=folder / "bundle",
        verify=verify,
        quant=config.quant.name,
        web_llm=config.runtime.web_llm,
        rows=rows,
        references=refer(rows, verify, inputs),
    )
    return build, build.job() | {"speed": _speed(config, rows[0])}


def _speed(config: Config, row: Row) -> dict[str, Any]:
    chunk = config.compiler.prefill_chunk_size
    context = config.compiler.context_window_size
    return {
        "messages": row.messages,
        "prefillTokens": sorted({min(chunk, context // share) for share in PREFILL_SHARES}),
        "decodeTokens": DECODE_TOKENS,
        "repeats": REPEATS,
    }


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
