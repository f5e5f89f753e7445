"""Own ``chat_config``: mlc-chat-config.json, believed only when its prompts' tokens are right.

web-llm never sees the tokenizer's chat template; it renders prompts from ``conv_template``. For
every conversation of the data, and for texts chosen to break it, the tokens that web-llm will
make are compared with those that the model was trained on.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from webslm.basics import artifact_files, model_files
from webslm.basics.errors import StageFailed
from webslm.basics.fs import write_text
from webslm.basics.stage import Context, Metrics
from webslm.model.prompts import page_prompts
from webslm.model.prompts.chat_template import derive, probe
from webslm.model.prompts.conversation import ConvTemplate
from webslm.model.prompts.ends import check_ending, stop_ids
from webslm.model.prompts.prompt_tokens import Proof, Tokens, load, prove
from webslm.rows.artifact import located, system_prompt_of
from webslm.schema import ChatConfigStageConf, Prompts


def run(cfg: ChatConfigStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Write mlc-chat-config.json and copy the tokenizer.

    Raises:
        StageFailed: The template cannot be said in web-llm's terms, some prompt's tokens differ,
            or a row does not fit the context.
    """
    if cfg.context_window_size > cfg.shape.max_position_embeddings:
        raise StageFailed(
            f"context_window_size {cfg.context_window_size} is beyond the "
            f"{cfg.shape.max_position_embeddings} positions the checkpoint was made for",
            hint="lower base.context_window_size",
        )
    folder, data = inputs["normalize"], inputs["data"]
    tokens = load(folder)
    generation = _read_json(folder / model_files.GENERATION)
    stops = _stops(tokens, folder)
    if cfg.template is Prompts.page:
        conv, proof = _rendered_by_page(tokens, stops, data, out, ctx)
    else:
        conv, proof = _said_by_block(tokens, stops, data, ctx)
    conv["name"] = f"{cfg.shape.model_type}-{conv['name']}"
    if proof.longest > cfg.context_window_size:
        raise StageFailed(
            f"the longest row has {proof.longest} tokens, the context {cfg.context_window_size}",
            hint=f"set base.context_window_size to {proof.longest} or more, or shorten the row",
        )
    config = _config(cfg, tokens, conv, generation)
    write_text(
        out / model_files.CHAT_CONFIG, json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    )
    for name in model_files.TOKENIZER_FILES:
        shutil.copyfile(folder / name, out / name)
    return {
        "rows": proof.rows,
        "prompts": proof.prompts,
        "longest_row_tokens": proof.longest,
        "stop_token_ids": list(conv["stop_token_ids"]),
        "continued_chat_exact": proof.continues,
        "empty_system_exact": proof.empty_system,
        "continued_chat_cached": proof.cached,
        "template": cfg.template.value,
    }


def _said_by_block(
    tokens: Tokens, stops: ConvTemplate, data: Path, ctx: Context
) -> tuple[ConvTemplate, Proof]:
    """Return the block that says what the template says, and its proof."""
    system_prompt = system_prompt_of(data)
    specials = sorted(tokens.trained.get_added_vocab())
    conv = derive(probe(tokens.prompt), specials, system_prompt, name="from-template") | stops
    return conv, prove(conv, tokens, list(located(data)), system_prompt, ctx.progress)


def _rendered_by_page(
    tokens: Tokens, stops: ConvTemplate, data: Path, out: Path, ctx: Context
) -> tuple[ConvTemplate, Proof]:
    """Write what the page renders prompts with; return a block that adds nothing, and its proof."""
    proof = page_prompts.prove(
        tokens, stops, list(located(data)), system_prompt_of(data), ctx.progress
    )
    facts = page_prompts.facts(tokens, stops["stop_str"])
    write_text(
        out / artifact_files.PAGE_PROMPTS, json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
    )
    return page_prompts.NEUTRAL | stops, proof


def _stops(tokens: Tokens, folder: Path) -> ConvTemplate:
    """Return the part of a block that says where answers end."""
    ids = stop_ids(folder, tokens.trained)
    check_ending(tokens.trained, ids)
    return {
        "stop_str": [tokens.web.id_to_token(index) for index in sorted(ids)],
        "stop_token_ids": sorted(ids),
        # web-llm puts these ids in front; a template's own BOS is text and stands in the pieces.
        "system_prefix_token_ids": None,
    }


def _config(
    cfg: ChatConfigStageConf,
    tokens: Tokens,
    conv: ConvTemplate,
    generation: Mapping[str, Any],
) -> dict[str, Any]:
    """Return mlc-chat-config.json."""
    active = max(tokens.web.get_vocab().values()) + 1
    if active > cfg.shape.vocab_size:
        raise StageFailed(
            f"the tokenizer has {active} entries, base.shape.vocab_size {cfg.shape.vocab_size}"
        )
    sizes = {
        "context_window_size": cfg.context_window_size,
        "sliding_window_size": -1,
        "prefill_chunk_size": cfg.prefill_chunk_size,
        "attention_sink_size": 0,
        "tensor_parallel_shards": 1,
        "pipeline_parallel_stages": 1,
    }
    return {
        "version": "0.1.0",
        "model_type": cfg.shape.model_type,
        "quantization": cfg.quant_name,
        "model_config": {**asdict(cfg.shape), **sizes},
        "vocab_size": cfg.shape.vocab_size,
        **sizes,
        "active_vocab_size": active,
        "temperature": cfg.decoding.temperature,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "repetition_penalty": cfg.decoding.repetition_penalty,
        "top_p": cfg.decoding.top_p,
        "tokenizer_files": list(model_files.TOKENIZER_FILES),
        "tokenizer_info": _tokenizer_info(json.loads(tokens.web.to_str())),
        "conv_template": conv,
        "pad_token_id": generation.get("pad_token_id", tokens.trained.pad_token_id),
        "bos_token_id": generation.get("bos_token_id", tokens.trained.bos_token_id),
        "eos_token_id": generation.get("eos_token_id", tokens.trained.eos_token_id),
        "model_task": "chat",
        "embedding_metadata": None,
    }


def _tokenizer_info(tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what grammar-guided answers must know of the tokenizer."""
    decoders = _steps(tokenizer.get("decoder"), "decoders")
    normalizers = _steps(tokenizer.get("normalizer"), "normalizers")
    kinds = {step.get("type") for step in decoders}
    if "ByteLevel" in kinds:
        method = "byte_level"
    else:
        method = "byte_fallback" if "ByteFallback" in kinds else "raw"
    return {
        "token_postproc_method": method,
        "prepend_space_in_encode": any(
            step.get("type") == "Prepend" and step.get("prepend") == "▁" for step in normalizers
        ),
        "strip_space_in_decode": any(
            step.get("type") == "Strip" and step.get("content") == " " and step.get("start") == 1
            for step in decoders
        ),
    }


def _steps(part: Mapping[str, Any] | None, key: str) -> list[Mapping[str, Any]]:
    """Return the steps of a tokenizer part, which may be a sequence."""
    if part is None:
        return []
    return list(part[key]) if part.get("type") == "Sequence" else [part]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise StageFailed(f"unreadable {path}: {exc}") from exc
    return value
