"""The shipped settings do what they promise: the tuned tiny base knows its rows by heart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tests import training
from webslm.basics.paths import conf_dir, data_dir
from webslm.evaluation import answering
from webslm.rows.artifact import read_messages
from webslm.rows.picks import rouge_l
from webslm.rows.roles import Messages
from webslm.schema import BaseConf, BaseSource, BaseStageConf, FinetuneStageConf, LoraConf
from webslm.training import loaded as reference


def shipped(group: str, schema: type) -> Any:
    """Return a shipped configuration group as its dataclass."""
    loaded = OmegaConf.load(conf_dir() / group / "tiny.yaml")
    values = loaded.base if "base" in loaded else loaded
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), values))


def answers(folder: Path, rows: list[Messages]) -> list[tuple[float, bool]]:
    """Return ROUGE-L and whether it stopped, of every answer of every row."""
    tokenizer = reference.load_tokenizer(folder)
    model = reference.load_model(folder)
    found = []
    for row in rows:
        for index, message in enumerate(row):
            if message["role"] == "assistant":
                prompt = reference.prompt_ids(tokenizer, row[:index])
                said = answering.greedy(model, prompt, 128)
                text = reference.decode(tokenizer, said.tokens)
                found.append((rouge_l(text, message["content"]), said.stopped))
    return found


@pytest.mark.slow
def test_tuned_tiny_base_answers_its_rows_and_the_base_does_not(tmp_path: Path) -> None:
    from webslm.stages import base, finetune

    conf: BaseConf = shipped("base", BaseConf)
    assert conf.source is BaseSource.tiny
    (tmp_path / "base").mkdir()
    context = training.context(tmp_path)
    base.run(BaseStageConf(base=conf, seed=0), {}, tmp_path / "base", context)
    lora: LoraConf = shipped("lora", LoraConf)
    data = data_dir() / "medical"
    inputs = {"base": tmp_path / "base", "data": data}
    (tmp_path / "adapter").mkdir()
    finetune.run(FinetuneStageConf(lora=lora, seed=0), inputs, tmp_path / "adapter", context)
    training.make_merged(tmp_path / "merged", tmp_path / "base", tmp_path / "adapter", data)
    rows = read_messages(data / "train.jsonl")
    tuned = answers(tmp_path / "merged", rows)
    good = sum(score >= 0.8 and stopped for score, stopped in tuned)
    assert good >= 0.9 * len(tuned)
    plain = answers(tmp_path / "base", rows[::8])
    assert max(score for score, _ in plain) < 0.4
