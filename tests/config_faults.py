"""Named faults of what a checkpoint says of itself: configurations, tokenizer, template."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from tests import checkpoints
from tests.checkpoints import Change, Mutation, each, edited, on, put, without

VALUES: dict[str, Any] = {
    "null": None, "text": "x", "digits": "16", "minus one": -1, "zero": 0, "a fraction": 1.5,
    "as a float": 16.0, "huge": 2**40, "true": True, "a list": [1], "an object": {"a": 1},
    "not a number": float("nan"), "infinite": float("inf"),
}  # fmt: skip
CONFIG_KEYS = (
    *("model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size"),
    *("num_attention_heads", "num_key_value_heads", "head_dim", "max_position_embeddings"),
    *("rms_norm_eps", "rope_theta", "rope_scaling", "rope_parameters", "tie_word_embeddings"),
    *("attention_bias", "mlp_bias", "hidden_act", "sliding_window", "use_sliding_window"),
    *("layer_types", "partial_rotary_factor", "torch_dtype", "dtype", "eos_token_id"),
    *("bos_token_id", "pad_token_id", "quantization_config", "architectures", "use_cache"),
    *("transformers_weights", "auto_map", "text_config"),
)
TOKENIZER_KEYS = (
    *("chat_template", "eos_token", "bos_token", "pad_token", "model_max_length"),
    *("added_tokens_decoder", "tokenizer_class", "auto_map", "extra_special_tokens"),
)
GENERATION_KEYS = ("eos_token_id", "bos_token_id", "pad_token_id", "temperature", "do_sample")
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
ROPES: dict[str, Any] = {
    "linear": {"type": "linear", "factor": 2.0},
    "linear by nothing": {"type": "linear"},
    "linear by one": {"type": "linear", "factor": 1.0},
    "linear by zero": {"rope_type": "linear", "factor": 0.0},
    "yarn": {"rope_type": "yarn", "factor": 4.0},
    "dynamic": {"type": "dynamic", "factor": 2.0},
    "a type that is a number": {"rope_type": 3},
    "llama3": {**LLAMA3, "original_max_position_embeddings": 64},
    "llama3 without its length": LLAMA3,
    "llama3 of equal factors": {**LLAMA3, "high_freq_factor": 1.0},
    "longrope of too few": {"type": "longrope", "short_factor": [1.0], "long_factor": [1.0]},
    "longrope of zeros": {"type": "su", "short_factor": [0.0, 0.0], "long_factor": [1.0, 1.0]},
    "its own theta": {"rope_type": "default", "rope_theta": 500.0},
    "two kinds of layers": {"full_attention": {"rope_type": "default", "rope_theta": 5.0}},
}
OTHERS: dict[str, Any] = {
    "bitsandbytes": {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
    "MLX": {"quantization": {"group_size": 64, "bits": 4}},
    "experts": {"num_local_experts": 8},
    "images": {"vision_config": {"hidden_size": 8}},
    "another text model inside": {"model_type": "gemma3", "text_config": {"hidden_size": 16}},
    "a sixth family": {"model_type": "gpt2"},
    "tied, and another head": {"tie_word_embeddings": True},
    "the keys of Mistral": {"model_type": "mistral"},
    "the keys of Qwen2": {"model_type": "qwen2"},
    "the keys of Gemma 3": {"model_type": "gemma3_text"},
    "the keys of Phi-3": {"model_type": "phi3"},
}

TOKENIZERS: dict[str, Change] = {
    "an ordinary entry past the table": lambda d: d["model"]["vocab"].update(zz=999),
    "an entry's number negative": lambda d: d["model"]["vocab"].update(zz=-1),
    "an entry's number a text": lambda d: d["model"]["vocab"].update(zz="x"),
    "no entries": lambda d: d["model"].update(vocab={}),
    "entries a list": lambda d: d["model"].update(vocab=["a"]),
    "no model": without("model"),
    "model null": put("model", None),
    "another kind of model": lambda d: d["model"].update(type="Other"),
    "added tokens an object": put("added_tokens", {"a": 1}),
    "added tokens null": put("added_tokens", None),
    "no added tokens": without("added_tokens"),
    "an added token without text": lambda d: d["added_tokens"][0].pop("content"),
    "an added token's number a text": lambda d: d["added_tokens"][0].update(id="x"),
    "an added token of another number": lambda d: d["added_tokens"][0].update(id=7),
    "merges of unknown entries": lambda d: d["model"].update(merges=["zz zz"]),
    "no decoder": put("decoder", None),
    "another pre-tokenizer": put("pre_tokenizer", {"type": "Nothing"}),
    "version of the future": put("version", "9.0"),
}


def mutations() -> Iterator[tuple[str, Mutation]]:
    """Yield faults with their names; each is done to a fresh whole checkpoint of one file."""
    yield from _keys()
    yield from _vocabulary()
    yield from _templates()


def _keys() -> Iterator[tuple[str, Mutation]]:
    for file, keys in (
        ("config.json", CONFIG_KEYS),
        ("tokenizer_config.json", TOKENIZER_KEYS),
        ("generation_config.json", GENERATION_KEYS),
    ):
        for key in keys:
            yield f"{file} without {key}", edited(file, without(key))
            for name, value in VALUES.items():
                yield f"{file}: {key} is {name}", edited(file, put(key, value))
    for key in ("rope_scaling", "rope_parameters"):
        for name, value in ROPES.items():
            yield f"config.json: {key} is {name}", edited("config.json", put(key, value))
    for name, more in OTHERS.items():
        yield f"config.json: {name}", edited("config.json", partial(_update, more))


def _update(more: dict[str, Any], found: dict[str, Any]) -> None:
    found.update(more)


def _tokenizer(added: tuple[str, ...] = (), **settings: Any) -> Mutation:
    return lambda folder: checkpoints.write_tokenizer(folder, added, **settings)


def _vocabulary() -> Iterator[tuple[str, Mutation]]:
    far = ("<far>",)
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    named = {"258": {"content": far[0], "special": True, **flags}}
    written = far[0] + checkpoints.TEMPLATE
    cases = {
        "one token past the table": _tokenizer(far),
        "forty tokens past the table": _tokenizer(tuple(f"<far{n}>" for n in range(40))),
        "an extra token past the table": _tokenizer(
            far, extra_special_tokens={"image_token": far[0]}
        ),
        "padding that only its configuration names": _tokenizer(pad_token="<pad>"),
        "a decoder entry past the table": _tokenizer(added_tokens_decoder=named),
        "the template writes a token past the table": _tokenizer(far, chat_template=written),
        **{
            f"its {key} past the table": _tokenizer(far, **{key: far[0]})
            for key in ("pad_token", "unk_token", "image_token", "eos_token", "bos_token")
        },
    }
    for name, change in cases.items():
        yield f"tokenizer: {name}", change
    for name, edit in TOKENIZERS.items():
        yield f"tokenizer.json: {name}", edited("tokenizer.json", edit)


def _templates() -> Iterator[tuple[str, Mutation]]:
    templates = {
        "empty": "",
        "a syntax error": "{% for",
        "named ones": [{"name": "default", "template": "x"}],
    }
    for name, value in templates.items():
        yield f"template {name}", _tokenizer(chat_template=value)
    apart: dict[str, Mutation] = {
        "in a file of its own": lambda path: path.write_text(checkpoints.TEMPLATE),
        "in a file that is not text": lambda path: path.write_bytes(b"\xff\xfe\0"),
        "file a folder": lambda path: path.mkdir(),
    }
    for name, change in apart.items():
        there = on("chat_template.jinja", change)
        yield f"template {name}", each(_tokenizer(chat_template=None), there)
