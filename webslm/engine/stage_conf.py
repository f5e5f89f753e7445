"""Own which parts of a configuration reach which stage, where that is more than one field."""

from __future__ import annotations

from dataclasses import fields, replace

from webslm import schema
from webslm.basics.compilers import MLC_LLM
from webslm.bundle.hosting import shard_bytes
from webslm.compiler.targets import targets
from webslm.engine.lock import origin
from webslm.engine.rounding_rule import learns_through_rounding
from webslm.schema import Config, Finetune, RuntimeConf


def runtime(cfg: Config, wheels: tuple[str, ...]) -> RuntimeConf:
    """Return the matrix row with only the named wheels, and its tools where they are used."""
    kept = {name: version for name, version in cfg.runtime.wheels.items() if name in wheels}
    return replace(cfg.runtime, wheels=kept, tools=tools(cfg) if wheels else {})


def tools(cfg: Config) -> dict[str, str]:
    """Return the pins of the tools that make this build's weights and library; may be none."""
    return dict(cfg.runtime.tools) if cfg.compiler.name == MLC_LLM else {}


def data(cfg: Config) -> schema.DataStageConf:
    """Return what the data stage reads: a domain's own rows bring the rows to ask."""
    if cfg.data.hub.id is not None:
        # The commit says which rows they are; the domain's own file is not read.
        return schema.DataStageConf(data=replace(cfg.data, path=None))
    held_out, paraphrases = cfg.data.held_out_path, cfg.data.paraphrases_path
    if cfg.data.path == cfg.domain.train_path:
        held_out = held_out or cfg.domain.held_out_path
        paraphrases = paraphrases or cfg.domain.paraphrases_path
    return schema.DataStageConf(
        data=replace(cfg.data, held_out_path=held_out, paraphrases_path=paraphrases)
    )


def compares(cfg: Config) -> bool:
    """Return whether some mode of the page needs the base's weights."""
    return any(mode in schema.COMPARING for mode in cfg.app.modes)


def lora(cfg: Config) -> schema.LoraConf:
    """Return the fine-tune's settings, its targets named."""
    names = cfg.lora.target_modules or list(targets(cfg.base.shape.model_type))
    return replace(cfg.lora, target_modules=names)


def finetune(cfg: Config) -> schema.FinetuneStageConf:
    """Return what a fine-tune is made by; only the method that reads an adapter sees its path."""
    adapter = cfg.adapter if cfg.finetune is Finetune.adapter else schema.AdapterConf()
    aware = learns_through_rounding(cfg)
    return schema.FinetuneStageConf(
        lora=lora(cfg),
        seed=cfg.seed,
        method=cfg.finetune,
        adapter=adapter,
        launch=cfg.launch,
        quant=cfg.quant if aware else None,
        shape=cfg.base.shape if aware else None,
    )


def align(cfg: Config) -> schema.AlignStageConf:
    """Return what preferences are taught by."""
    return schema.AlignStageConf(
        dpo=cfg.dpo, lora=lora(cfg), seed=cfg.seed, method=cfg.finetune, launch=cfg.launch
    )


def convert(cfg: Config) -> schema.ConvertStageConf:
    """Return what weights are packed by."""
    return schema.ConvertStageConf(
        shape=cfg.base.shape,
        quant=cfg.quant,
        shard_bytes=shard_bytes(cfg.host),
        tools=tools(cfg),
        python=cfg.compiler.python,
    )


def library(
    cfg: Config, wheels: tuple[str, ...], activations: str | None = None
) -> schema.CompileStageConf:
    """Return what a library is compiled from."""
    return schema.CompileStageConf(
        shape=cfg.base.shape,
        quant=cfg.quant,
        compiler=cfg.compiler,
        runtime=runtime(cfg, wheels),
        activations=activations,
    )


def bundle(cfg: Config) -> schema.BundleStageConf:
    """Return what the site is made from."""
    return schema.BundleStageConf(
        name=cfg.name,
        app=cfg.app,
        domain=cfg.domain,
        runtime=runtime(cfg, ()),
        quant=cfg.quant,
        host=cfg.host,
        card=schema.CardConf(
            base=cfg.base.name,
            base_id=cfg.base.hub.id,
            base_commit=origin.commit(cfg.base),
            base_origin=origin.origin(cfg.base),
            licence=cfg.base.licence,
            lora=lora(cfg),
            seed=cfg.seed,
            method=cfg.finetune,
            align=cfg.align,
        ),
    )


def evaluate_base(cfg: Config) -> schema.EvaluateBaseStageConf:
    """Return what the base is asked: nothing that only judges its answers."""
    names = [field.name for field in fields(schema.QuestionsConf)]
    return schema.EvaluateBaseStageConf(
        questions=schema.QuestionsConf(**{name: getattr(cfg.evaluate, name) for name in names}),
        num_prompts=cfg.verify.num_prompts,
        seed=cfg.seed,
    )


def evaluate(cfg: Config) -> schema.EvaluateStageConf:
    """Return what the survival report asks, and of what."""
    return schema.EvaluateStageConf(
        evaluate=cfg.evaluate,
        shape=cfg.base.shape,
        quant=cfg.quant,
        decoding=cfg.app.decoding,
        closing=cfg.data.closing,
        signatures=cfg.data.signatures,
        num_prompts=cfg.verify.num_prompts,
        seed=cfg.seed,
    )


UNTAUGHT_TOKENS = 48
"""Tokens fed of an answer that nobody taught: its words are not judged, only its positions."""


def golden(cfg: Config) -> schema.GoldenStageConf:
    """Return how many questions torch answers: those that the proof asks."""
    asked = proof(cfg)
    return schema.GoldenStageConf(
        shape=cfg.base.shape,
        quant=cfg.quant,
        num_prompts=asked.num_prompts,
        num_follow_ups=asked.num_follow_ups,
        max_answer_tokens=asked.max_answer_tokens,
    )


def verify(cfg: Config) -> schema.VerifyStageConf:
    """Return the proof's limits for this build."""
    return schema.VerifyStageConf(
        verify=proof(cfg), quant=cfg.quant, browser_min=cfg.runtime.browser_min
    )


def proof(cfg: Config) -> schema.VerifyConf:
    """Return what is asked; of a model that was not taught the rows only its faithfulness is."""
    asked = cfg.verify
    if cfg.finetune is not Finetune.none:
        return asked
    tokens = min(asked.max_answer_tokens, max(UNTAUGHT_TOKENS, asked.num_tokens))
    return replace(asked, min_answers=0, min_follow_ups=0, max_answer_tokens=tokens)
