"""``finetune=adapter``: adapters of other tools are taken as they are, or refused with a reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import training
from webslm.basics.errors import ConfigError
from webslm.schema import AdapterConf, Finetune, FinetuneStageConf
from webslm.stages import finetune

Tensors = dict[str, Any]
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
REGEX = r"(?:.*?(?:self_attn|attention|mlp).*?(?:q_proj|v_proj|down_proj).*?)"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    folder = tmp_path_factory.mktemp("adoption")
    base = training.make_base(folder / "base")
    data = training.make_data(folder / "data")
    training.make_adapter(folder / "adapter", base, data)
    return base, folder / "adapter", data


def foreign(
    adapter: Path,
    target: Path,
    edit: Callable[[Tensors], None] = lambda _: None,
    **config: Any,
) -> Path:
    """Copy an adapter with other weights and another configuration."""
    from safetensors.torch import load_file, save_file

    target.mkdir()
    tensors = load_file(adapter / WEIGHTS)
    edit(tensors)
    save_file(tensors, target / WEIGHTS, metadata={"format": "pt"})
    known = json.loads((adapter / CONFIG).read_text())
    (target / CONFIG).write_text(json.dumps({**known, **config}))
    return target


def take(folder: Path, tuned: tuple[Path, Path, Path], out: Path) -> dict[str, Any]:
    """Run the stage on an adapter's folder and return its metrics."""
    out.mkdir()
    conf = FinetuneStageConf(
        lora=training.LORA,
        seed=0,
        method=Finetune.adapter,
        adapter=AdapterConf(path=str(folder)),
    )
    finetune.check_before(conf)
    finetune.check_machine(conf)
    inputs = {"base": tuned[0], "data": tuned[2]}
    return dict(finetune.run(conf, inputs, out, training.context(out.parent)))


def as_peft(folder: Path) -> None:
    (folder / "README.md").write_text("a model card")


def as_axolotl(folder: Path) -> None:
    """Its output folder also holds tokenizer, its own YAML and checkpoints of the same adapter."""
    inner = folder / "checkpoint-6"
    inner.mkdir()
    for name in (CONFIG, WEIGHTS):
        shutil.copyfile(folder / name, inner / name)
    (inner / "optimizer.pt").write_bytes(b"not read")
    (folder / "axolotl_config.yaml").write_text("base_model: x\n")
    (folder / "tokenizer.json").write_text("{}")


def as_unsloth(folder: Path) -> None:
    """It writes one regular expression for the targets, and names its own 4-bit base."""
    config = json.loads((folder / CONFIG).read_text())
    config |= {
        "target_modules": REGEX,
        "base_model_name_or_path": "unsloth/qwen2.5-0.5b-instruct-bnb-4bit",
        "inference_mode": True,
    }
    (folder / CONFIG).write_text(json.dumps(config))


@pytest.mark.parametrize("layout", [as_peft, as_axolotl, as_unsloth])
def test_adapter_of_another_tool_is_merged_like_our_own(
    tuned: tuple[Path, Path, Path], tmp_path: Path, layout: Callable[[Path], None]
) -> None:
    folder = foreign(tuned[1], tmp_path / "foreign", base_model_name_or_path="someone/model")
    layout(folder)
    metrics = take(folder, tuned, tmp_path / "out")
    assert (metrics["method"], metrics["rank"]) == ("adapter", training.LORA.r)
    assert metrics["modules"] == 3 * training.SHAPE.num_hidden_layers
    assert "/" in metrics["trained_on"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        CONFIG,
        WEIGHTS,
        "train_log.json",
    ]
    merged = training.make_merged(tmp_path / "m", tuned[0], tmp_path / "out", tuned[2])
    ours = training.make_merged(tmp_path / "ours", *tuned)
    assert merged == ours
    left = (tmp_path / "m" / "model.safetensors").read_bytes()
    assert left == (tmp_path / "ours" / "model.safetensors").read_bytes()


def test_dora_and_replaced_modules_are_taken(
    tuned: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    """An untied base whose head was trained whole, by peft itself."""
    import torch
    from peft import LoraConfig, get_peft_model

    from tests.integration.architecture_models import SHAPES, random_model
    from webslm.training import merging
    from webslm.training.torch_mode import quiet

    with quiet():
        torch.manual_seed(0)
        random_model(SHAPES["qwen2_untied"]).save_pretrained(tmp_path / "base")
        for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
            shutil.copyfile(tuned[0] / name, tmp_path / "base" / name)
        model = get_peft_model(
            random_model(SHAPES["qwen2_untied"]),
            LoraConfig(
                r=4, target_modules=["q_proj"], modules_to_save=["lm_head"], use_dora=True,
                task_type="CAUSAL_LM",
            ),
        )  # fmt: skip
        for weight in model.parameters():
            if weight.requires_grad:
                torch.nn.init.normal_(weight, std=0.3)
        model.save_pretrained(tmp_path / "theirs", save_embedding_layers=False)
    base = tmp_path / "base"
    metrics = take(tmp_path / "theirs", (base, tuned[1], tuned[2]), tmp_path / "out")
    assert metrics["saved_modules"] == ["lm_head"]
    found = merging.merge(
        base, tmp_path / "out", [[1, 40, 50, 60]], dtype="float32", folder=tmp_path / "m"
    )
    assert found.changed_tensors == 3  # two layers' queries and the head


def drop(word: str) -> Callable[[Tensors], None]:
    def edit(tensors: Tensors) -> None:
        for name in [name for name in tensors if word in name]:
            del tensors[name]

    return edit


def grow(word: str, axis: int) -> Callable[[Tensors], None]:
    def edit(tensors: Tensors) -> None:
        import torch

        for name in tensors:
            if word in name:
                tensors[name] = torch.cat([tensors[name]] * 2, dim=axis)

    return edit


def add(name: str, *shape: int) -> Callable[[Tensors], None]:
    def edit(tensors: Tensors) -> None:
        import torch

        tensors[name] = torch.zeros(shape)

    return edit


def deeper(tensors: Tensors) -> None:
    for name in [name for name in tensors if ".layers.1." in name]:
        tensors[name.replace(".layers.1.", ".layers.30.")] = tensors.pop(name)


HEAD = "base_model.model.lm_head.weight"
MISFITS: dict[str, tuple[Callable[[Tensors], None], dict[str, Any], str]] = {
    "other width": (grow("lora_A", 1), {}, "down_proj is 64 x 192 in it and 64 x 96 in the base"),
    "other depth": (deeper, {}, r"tunes model\.layers\.30\.[\w.]+, and the base has no such"),
    "other rank": (lambda _: None, {"r": 8}, r"has rank 4 and 4, adapter_config\.json says 8"),
    "half a pair": (drop("lora_B"), {}, "only one of lora_A and lora_B"),
    "no weights": (drop("lora_"), {}, "holds no LoRA weights"),
    "target without weights": (
        lambda _: None,
        {"target_modules": ["q_proj", "v_proj", "down_proj", "o_proj"]},
        "names o_proj, and no weights are there",
    ),
    "grown vocabulary": (add(HEAD, 600, 64), {"modules_to_save": ["lm_head"]}, "lm_head"),
    "prefix": (add("prompt_embeddings", 4, 64), {}, "no part of LoRA or DoRA"),
    "not DoRA": (lambda _: None, {"use_dora": True}, "disagree on whether it is DoRA"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_adapter_that_does_not_fit_is_refused_with_the_reason(
    tuned: tuple[Path, Path, Path], tmp_path: Path, name: str
) -> None:
    edit, config, message = MISFITS[name]
    folder = foreign(tuned[1], tmp_path / "foreign", edit, **config)
    with pytest.raises(ConfigError, match=message) as raised:
        take(folder, tuned, tmp_path / "out")
    assert all(text.startswith("adapter.path: ") for text, _ in raised.value.problems)
    assert not list((tmp_path / "out").iterdir())


UNUSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "prompt tuning": ({"peft_type": "PROMPT_TUNING"}, "a PROMPT_TUNING adapter"),
    "trained biases": ({"bias": "all"}, "trained biases"),
    "changed base": ({"init_lora_weights": "pissa_niter_4"}, "pissa_niter_4, which changes"),
    "no rank": ({"r": None}, "names no rank"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_adapter_of_another_kind_is_refused_before_work(
    tuned: tuple[Path, Path, Path], tmp_path: Path, name: str
) -> None:
    config, message = UNUSABLE[name]
    folder = foreign(tuned[1], tmp_path / "foreign", **config)
    with pytest.raises(ConfigError, match=message):
        finetune.check_before(conf_of(folder))


def conf_of(folder: Path) -> FinetuneStageConf:
    adapter = AdapterConf(path=str(folder))
    return FinetuneStageConf(lora=training.LORA, seed=0, method=Finetune.adapter, adapter=adapter)


def test_folders_without_readable_weights_are_explained(
    tuned: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    folder = foreign(tuned[1], tmp_path / "outer")
    (tmp_path / "run").mkdir()
    folder.rename(tmp_path / "run" / "checkpoint-60")
    with pytest.raises(ConfigError, match="no adapter_config") as raised:
        finetune.check_before(conf_of(tmp_path / "run"))
    assert "checkpoint-60" in str(raised.value.hint)
    inner = tmp_path / "run" / "checkpoint-60"
    (inner / WEIGHTS).rename(inner / "adapter_model.bin")
    with pytest.raises(ConfigError, match=r"no adapter_model\.safetensors") as raised:
        finetune.check_before(conf_of(inner))
    assert "runs code" in str(raised.value.hint)
    (inner / WEIGHTS).write_bytes(b"cut")
    with pytest.raises(ConfigError, match=r"adapter_model\.safetensors: "):
        take(inner, tuned, tmp_path / "out")
    (inner / CONFIG).write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        finetune.check_before(conf_of(inner))
