"""Own ``normalize``: one spelling of config.json, checked against the declared shape.

transformers 4 writes ``rope_theta``, ``rope_scaling`` and ``torch_dtype``; transformers 5 writes
``rope_parameters`` and ``dtype``. The canonical file has the former, which both can read.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webslm.compiler.architectures import ARCHITECTURES
from webslm.errors import StageFailed
from webslm.fs import write_text
from webslm.schema import NormalizeStageConf, ShapeConf
from webslm.stage import Context, Metrics

CONFIG_NAME = "config.json"
GENERATION_NAME = "generation_config.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
OPTIONAL_FILES = ("chat_template.jinja", "special_tokens_map.json", "added_tokens.json")
REQUIRED = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "vocab_size",
    "max_position_embeddings",
)
# What a file that leaves a key out means, by model type; None: follows from other keys.
DEFAULTS: dict[str, dict[str, Any]] = {
    "qwen2": {
        "attention_bias": True,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
    },
}
FIXED_BIAS = {"qwen2"}
"""Model types whose attention biases are part of the architecture, not of config.json."""
TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


def run(cfg: NormalizeStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Write the canonical config.json and carry generation and tokenizer files.

    Raises:
        StageFailed: The model type is unknown, the checkpoint does something that no library
            does, its shape is not the declared one, or the tokenizer is incomplete.
    """
    source = inputs["merge"]
    config = canonical(_read_json(source / CONFIG_NAME))
    check_shape(config, cfg.shape)
    ctx.progress.note(f"{config['model_type']}: the checkpoint has the declared shape")
    write_text(out / CONFIG_NAME, _dump(config))
    generation = {key: config[key] for key in TOKEN_IDS if config[key] is not None}
    if (source / GENERATION_NAME).is_file():
        generation = _read_json(source / GENERATION_NAME)
        # The version that wrote the file says nothing about the model.
        generation.pop("transformers_version", None)
    write_text(out / GENERATION_NAME, _dump(generation))
    _carry_tokenizer(source, out)
    return {"model_type": config["model_type"], "fields": len(config)}


def canonical(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the canonical form of a Hugging Face configuration; of a canonical one, itself.

    Raises:
        StageFailed: The model type is unknown, a size is missing, or the model uses something
            that the library does not compute.
    """
    model_type = config.get("model_type")
    if model_type not in ARCHITECTURES:
        raise StageFailed(
            f"{CONFIG_NAME}: model_type {model_type!r} cannot be compiled",
            hint=f"supported: {', '.join(sorted(ARCHITECTURES))}",
        )
    missing = [key for key in REQUIRED if config.get(key) is None]
    if missing:
        raise StageFailed(f"{CONFIG_NAME}: no {', '.join(missing)}")
    known = {**DEFAULTS.get(model_type, {}), **{k: v for k, v in config.items() if v is not None}}
    rope = _rope(config)
    heads = known["num_attention_heads"]
    result = {
        "architectures": known.get("architectures"),
        "attention_bias": known.get("attention_bias", False),
        "head_dim": known.get("head_dim", known["hidden_size"] // heads),
        "hidden_act": known.get("hidden_act", "silu"),
        "model_type": model_type,
        "num_key_value_heads": known.get("num_key_value_heads", heads),
        "rms_norm_eps": float(known.get("rms_norm_eps", 1e-6)),
        "rope_scaling": None,
        "rope_theta": float(rope.get("rope_theta", known.get("rope_theta", 10000.0))),
        "tie_word_embeddings": bool(known.get("tie_word_embeddings", False)),
        "torch_dtype": str(known.get("dtype", known.get("torch_dtype", "float32"))),
        "use_sliding_window": False,
        **{key: config.get(key) for key in TOKEN_IDS},
        **{key: known[key] for key in REQUIRED},
    }
    if model_type in FIXED_BIAS:
        result["attention_bias"] = DEFAULTS[model_type]["attention_bias"]
    _refuse_unsupported(config, rope, str(result["hidden_act"]))
    return result


def check_shape(config: Mapping[str, Any], shape: ShapeConf) -> None:
    """Raise StageFailed naming every field in which a canonical configuration is not ``shape``."""
    declared = dataclasses.asdict(shape)
    wrong = [
        f"{key}: checkpoint {config[key]!r}, base.shape {value!r}"
        for key, value in declared.items()
        if not _equal(config[key], value)
    ]
    if wrong:
        raise StageFailed(
            f"the checkpoint is not the declared shape: {'; '.join(wrong)}",
            hint="copy the checkpoint's values to conf/base/<name>.yaml, key shape",
        )


def _rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rotary parameters of either spelling."""
    merged: dict[str, Any] = {}
    for key in ("rope_scaling", "rope_parameters"):
        merged.update(config.get(key) or {})
    return merged


def _refuse_unsupported(
    config: Mapping[str, Any], rope: Mapping[str, Any], activation: str
) -> None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    partial = rope.get("partial_rotary_factor", config.get("partial_rotary_factor")) or 1.0
    layers = set(config.get("layer_types") or ()) - {"full_attention"}
    # Kept keys of the checkpoint; the library knows plain rotary embeddings and full attention.
    problems = {
        f"rope_type {kind!r}": kind != "default",
        f"partial_rotary_factor {partial}": partial != 1.0,
        "use_sliding_window": bool(config.get("use_sliding_window")),
        f"layer_types {sorted(layers)}": bool(layers),
        f"hidden_act {activation!r}": activation not in ("silu", "swish"),
        "quantization_config": bool(config.get("quantization_config")),
    }
    found = [name for name, present in problems.items() if present]
    if found:
        raise StageFailed(
            f"{CONFIG_NAME}: the library cannot compute {', '.join(found)}",
            hint="choose a base without it",
        )


def _equal(found: object, declared: object) -> bool:
    if isinstance(found, float) or isinstance(declared, float):
        return math.isclose(float(str(found)), float(str(declared)), rel_tol=1e-9)
    return found == declared


def _carry_tokenizer(source: Path, out: Path) -> None:
    for name in TOKENIZER_FILES:
        if not (source / name).is_file():
            raise StageFailed(
                f"{source}: no {name}",
                hint="a fast tokenizer is needed: save the base's with AutoTokenizer",
            )
        shutil.copyfile(source / name, out / name)
    for name in OPTIONAL_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)
    inline = _read_json(source / "tokenizer_config.json").get("chat_template")
    if not inline and not (source / "chat_template.jinja").is_file():
        raise StageFailed(
            f"{source}: the tokenizer has no chat template",
            hint="choose an instruct or chat base: its template was learnt, none can be made up",
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise StageFailed(f"unreadable {path}: {exc}") from exc
    if not isinstance(value, dict):
        raise StageFailed(f"{path}: not a JSON object")
    return value


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
