"""Own adapters that were trained elsewhere: what is in the folder, and whether it fits the base.

peft, axolotl and unsloth write the same two files and differ in what they leave beside them. Read
are headers and JSON; no weight is loaded and nothing is executed.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webslm.basics.errors import ConfigError
from webslm.basics.fs import write_text
from webslm.basics.model_files import ADAPTER_CONFIG, ADAPTER_WEIGHTS, CONFIG

PREFIX = "base_model.model."
PART = re.compile(r"(?P<module>.+)\.(?P<part>lora_A|lora_B|lora_magnitude_vector)(\.weight)?$")
CHANGES_BASE = ("pissa", "olora", "corda", "loftq")
"""Initialisations after which the weights fit no base but the one that training changed."""
TRAINED_ON = "base_model_name_or_path"
Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Adopted:
    """What an adapter of others is."""

    method: str
    """lora or dora."""
    rank: int
    alpha: float
    modules: int
    """Modules of the base that it tunes."""
    saved_modules: list[str]
    """Modules that it replaces whole."""
    parameters: int
    trained_on: str | None
    """The base it names itself; a name, which proves nothing."""


def read_config(folder: Path) -> dict[str, Any]:
    """Return the adapter's configuration.

    Raises:
        ConfigError: There is none in the folder, it is no LoRA, or its weights are not there.
    """
    file = folder / ADAPTER_CONFIG
    if not file.is_file():
        inner = sorted(path.parent.name for path in folder.glob(f"*/{ADAPTER_CONFIG}"))
        raise ConfigError(
            f"adapter.path: no {ADAPTER_CONFIG} in {folder}",
            hint=f"adapter.path={shlex.quote(str(folder / inner[-1]))}"
            if inner
            else "adapter.path=FOLDER, the one that holds it",
        )
    try:
        config: Any = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise ConfigError(f"adapter.path: {file}: not JSON: {exc}") from exc
    problem = _unusable(config, folder)
    if problem is not None:
        raise ConfigError(f"adapter.path: {problem[0]}", hint=problem[1])
    found: dict[str, Any] = config
    return found


def adopt(folder: Path, base: Path, out: Path) -> Adopted:
    """Check an adapter against a base and copy its two files to ``out``.

    Raises:
        ConfigError: Holds every reason for which it does not fit.
    """
    config = read_config(folder)
    ours, theirs = _shapes(base), _shapes(folder, (ADAPTER_WEIGHTS,))
    tied = json.loads((base / CONFIG).read_text(encoding="utf-8")).get("tie_word_embeddings", False)
    parts, saved, strange = _sorted(theirs)
    problems = [
        *(f"holds {name}, which is no part of LoRA or DoRA" for name in strange),
        *_part_problems(parts, ours, config),
        *_saved_problems(saved, ours, tied=tied),
        *_target_problems(parts, config),
    ]
    if problems:
        shown = tuple((f"adapter.path: {text}", _hint(config)) for text in problems[:5])
        raise ConfigError(problems=shown)
    shutil.copyfile(folder / ADAPTER_WEIGHTS, out / ADAPTER_WEIGHTS)
    kept = {**config, TRAINED_ON: None, "inference_mode": True}
    write_text(out / ADAPTER_CONFIG, json.dumps(kept, indent=2, sort_keys=True) + "\n")
    return Adopted(
        method="dora" if config.get("use_dora") else "lora",
        rank=int(config["r"]),
        alpha=float(config.get("lora_alpha", config["r"])),
        modules=len(parts),
        saved_modules=sorted(saved),
        parameters=sum(_count(shape) for shape in theirs.values()),
        trained_on=config.get(TRAINED_ON),
    )


def _unusable(config: Any, folder: Path) -> tuple[str, str | None] | None:
    """Return why a configuration cannot be used, with a hint."""
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else None
        return f"a {kind or 'nameless'} adapter", "LoRA and DoRA can be merged into the base"
    if not isinstance(config.get("r"), int) or config["r"] < 1:
        return f"{ADAPTER_CONFIG} names no rank", "the file is damaged"
    begun = str(config.get("init_lora_weights")).lower()
    if begun.startswith(CHANGES_BASE):
        return (
            f"it was initialised by {begun}, which changes the base it belongs to",
            "save it as plain LoRA where it was trained: "
            "save_pretrained(FOLDER, path_initial_model_for_weight_conversion=INITIAL)",
        )
    if config.get("bias", "none") != "none":
        return f"it trained biases (bias={config['bias']!r})", "train it with bias='none'"
    if not (folder / ADAPTER_WEIGHTS).is_file():
        pickled = (folder / "adapter_model.bin").is_file()
        return (
            f"no {ADAPTER_WEIGHTS} in {folder}",
            "adapter_model.bin runs code when it is read: save it as safetensors"
            if pickled
            else "the adapter's weights lie beside its configuration",
        )
    return None


def _shapes(folder: Path, names: tuple[str, ...] = ()) -> dict[str, Shape]:
    """Return the shapes of all tensors in safetensors files, from their headers."""
    from safetensors import SafetensorError, safe_open

    files = [folder / name for name in names] or sorted(folder.glob("*.safetensors"))
    found: dict[str, Shape] = {}
    for path in files:
        try:
            with safe_open(path, framework="np") as file:
                for name in file.keys():  # noqa: SIM118  no mapping
                    found[name] = tuple(file.get_slice(name).get_shape())
        except SafetensorError as exc:
            raise ConfigError(f"adapter.path: {path.name}: {exc}", hint="copy it again") from exc
    return found


def _sorted(
    theirs: Mapping[str, Shape],
) -> tuple[dict[str, dict[str, Shape]], dict[str, Shape], list[str]]:
    """Return (parts by module, modules saved whole, tensors that are neither)."""
    parts: dict[str, dict[str, Shape]] = {}
    saved: dict[str, Shape] = {}
    strange = []
    for name, shape in sorted(theirs.items()):
        plain = name.removeprefix(PREFIX)
        match = PART.fullmatch(plain)
        if match is not None:
            parts.setdefault(match["module"], {})[match["part"]] = shape
        elif name.startswith(PREFIX) and plain.endswith(".weight") and "lora" not in plain:
            saved[plain.removesuffix(".weight")] = shape
        else:
            strange.append(name)
    return parts, saved, strange


def _part_problems(
    parts: Mapping[str, Mapping[str, Shape]], ours: Mapping[str, Shape], config: Mapping[str, Any]
) -> Iterator[str]:
    if not parts:
        yield "it holds no LoRA weights"
    patterned = bool(config.get("rank_pattern"))
    for module, found in parts.items():
        base = ours.get(f"{module}.weight")
        if base is None:
            yield f"it tunes {module}, and the base has no such module"
            continue
        down, up = found.get("lora_A"), found.get("lora_B")
        if down is None or up is None:
            yield f"{module} has only one of lora_A and lora_B"
        elif (up[0], down[-1]) != base:
            yield f"{module} is {up[0]} x {down[-1]} in it and {base[0]} x {base[1]} in the base"
        elif down[0] != up[-1] or (down[0] != config["r"] and not patterned):
            yield f"{module} has rank {down[0]} and {up[-1]}, {ADAPTER_CONFIG} says {config['r']}"
        elif bool(config.get("use_dora")) != ("lora_magnitude_vector" in found):
            yield f"{module} and {ADAPTER_CONFIG} disagree on whether it is DoRA"


def _saved_problems(
    saved: Mapping[str, Shape], ours: Mapping[str, Shape], *, tied: bool
) -> Iterator[str]:
    for module, shape in saved.items():
        base = ours.get(f"{module}.weight")
        if tied and module.endswith(("lm_head", "embed_tokens")):
            yield f"it replaces {module}, which the base shares between input and output"
        elif base is None:
            yield f"it replaces {module}, and the base has no such module"
        elif base != shape:
            yield (
                f"it replaces {module} of {shape[0]} rows, the base has {base[0]}: "
                "it was trained with another vocabulary"
            )


def _target_problems(
    parts: Mapping[str, Mapping[str, Shape]], config: Mapping[str, Any]
) -> Iterator[str]:
    named = config.get("target_modules")
    # unsloth writes one regular expression; peft reads it, and the merge counts what it found.
    if isinstance(named, list):
        missing = [
            name
            for name in sorted(named)
            if not any(module == name or module.endswith(f".{name}") for module in parts)
        ]
        if missing:
            yield f"{ADAPTER_CONFIG} names {', '.join(missing)}, and no weights are there for it"


def _hint(config: Mapping[str, Any]) -> str:
    name = config.get(TRAINED_ON)
    return f"it was trained on {name}" if name else "choose the base it was trained on"


def _count(shape: Shape) -> int:
    total = 1
    for size in shape:
        total *= size
    return total
