"""The data stage: rows of any source checked, split and examined."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from webslm.basics.errors import ConfigError
from webslm.basics.fs import write_text
from webslm.basics.stage import Context, Metrics
from webslm.hub import rows as hub_rows
from webslm.rows import artifact
from webslm.rows.artifact import dump_rows
from webslm.rows.examination import examine
from webslm.rows.rehearsal import rehearsal
from webslm.rows.source import Split, load_split
from webslm.schema import DataConf, DataStageConf


def run(cfg: DataStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Write ``train.jsonl``, ``held_out.jsonl``, ``paraphrases.jsonl``, ``stats.json``.

    ``rehearsal.jsonl`` too, where ``data.rehearsal_path`` names rows.

    Raises:
        ConfigError: A row is wrong, rows repeat each other, the split leaks, or something was
            found that ``data.refuse`` names.
        EnvironmentMismatch: A hub dataset cannot be had.
    """
    del inputs
    split = open_split(cfg.data, ctx.cache_dir)
    stats = examine(split, cfg.data)
    rehearsed, left_out = rehearsal(cfg.data, split)
    refuse(stats, cfg.data)
    write_text(out / artifact.TRAIN, dump_rows(split.train))
    write_text(out / artifact.HELD_OUT, dump_rows(split.held_out))
    write_text(out / artifact.PARAPHRASES, dump_rows(split.paraphrases))
    if rehearsed:
        write_text(out / artifact.REHEARSAL, dump_rows(rehearsed))
        stats["rehearsal"] = {"rows": len(rehearsed), "left_out": left_out}
        ctx.progress.note(
            f"{len(rehearsed)} general rows are rehearsed, {left_out} left out: asked by the data"
        )
    write_text(out / artifact.STATS, json.dumps(stats, indent=1, ensure_ascii=False))
    for finding in stats["findings"]:
        ctx.log.warning("data: %s", finding["text"])
    return stats


def open_split(data: DataConf, cache_dir: Path) -> Split:
    """Return the rows of a configuration; those of the hub are fetched first, once.

    Raises:
        ConfigError: As ``load_split`` does.
        EnvironmentMismatch: A hub dataset cannot be had.
    """
    if data.hub.id is None:
        return load_split(data)
    return load_split(data, hub_rows.fetch(data.hub, cache_dir / "tools" / "hub"))


def refuse(stats: Mapping[str, object], data: DataConf) -> None:
    """Refuse rows with a finding that ``data.refuse`` names.

    Raises:
        ConfigError: Holds each such finding with its first example.
    """
    found = stats["findings"]
    assert isinstance(found, list)
    problems = tuple(
        (f"data: {item['text']} ({'; '.join(item['examples'][:1])})", item["hint"])
        for item in found
        if item["kind"] in data.refuse
    )
    if problems:
        raise ConfigError(problems=problems)
