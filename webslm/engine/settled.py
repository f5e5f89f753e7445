"""Own what of a build follows from the rest of it: the values that stages compute with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from webslm import schema
from webslm.basics.compilers import MLC_LLM
from webslm.bundle.hosting import shard_bytes
from webslm.compiler.targets import targets
from webslm.engine.lock import origin
from webslm.engine.rounding_rule import learns_through_rounding
from webslm.schema import Config, Finetune

UNTAUGHT_TOKENS = 48
"""Tokens fed of an answer that nobody taught: its words are not judged, only its positions."""

FOLLOWING: Mapping[tuple[type[Any], str], Callable[[Config], Any]] = {
    (schema.FinetuneStageConf, "quant"): lambda cfg: (
        cfg.quant if learns_through_rounding(cfg) else None
    ),
    (schema.FinetuneStageConf, "shape"): lambda cfg: (
        cfg.base.shape if learns_through_rounding(cfg) else None
    ),
    (schema.CardConf, "base_commit"): lambda cfg: origin.commit(cfg.base),
    (schema.CardConf, "base_origin"): lambda cfg: origin.origin(cfg.base),
}
"""Values of a stage that are no value of the build's, by class and field."""


def settled(cfg: Config) -> Config:
    """Return a build with every value as its stages take it; of a settled one the same."""
    return replace(
        cfg,
        data=_data(cfg),
        lora=_lora(cfg),
        # Only the method that reads an adapter sees its path.
        adapter=cfg.adapter if cfg.finetune is Finetune.adapter else schema.AdapterConf(),
        host=replace(cfg.host, shard_bytes=shard_bytes(cfg.host)),
        runtime=replace(
            cfg.runtime, tools=dict(cfg.runtime.tools) if cfg.compiler.name == MLC_LLM else {}
        ),
        verify=_proof(cfg),
    )


def _data(cfg: Config) -> schema.DataConf:
    """Return what the data stage reads: a domain's own rows bring the rows to ask."""
    if cfg.data.hub.id is not None:
        # The commit says which rows they are; the domain's own file is not read.
        return replace(cfg.data, path=None)
    held_out, paraphrases = cfg.data.held_out_path, cfg.data.paraphrases_path
    if cfg.data.path == cfg.domain.train_path:
        held_out = held_out or cfg.domain.held_out_path
        paraphrases = paraphrases or cfg.domain.paraphrases_path
    return replace(cfg.data, held_out_path=held_out, paraphrases_path=paraphrases)


def _lora(cfg: Config) -> schema.LoraConf:
    """Return the fine-tune's settings, its targets named."""
    names = cfg.lora.target_modules or list(targets(cfg.base.shape.model_type))
    return replace(cfg.lora, target_modules=names)


def _proof(cfg: Config) -> schema.VerifyConf:
    """Return what is asked; of a model that was not taught the rows only its faithfulness is."""
    asked = cfg.verify
    if cfg.finetune is not Finetune.none:
        return asked
    tokens = min(asked.max_answer_tokens, max(UNTAUGHT_TOKENS, asked.num_tokens))
    return replace(asked, min_answers=0, min_follow_ups=0, max_answer_tokens=tokens)
