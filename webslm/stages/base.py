"""``base``: the checkpoint that is tuned: made here, copied, or fetched by commit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from webslm.adapters import hub, hub_cache, random_weights, template, tiny
from webslm.compiler.architectures import architecture
from webslm.errors import ConfigError, StageFailed
from webslm.fs import tree_files, write_text
from webslm.keys import file_digest
from webslm.paths import expanded
from webslm.schema import BaseConf, BaseSource, BaseStageConf, Weights
from webslm.stage import Context, Metrics, loss_report


def run(
    cfg: BaseStageConf,
    inputs: Mapping[str, Path],  # noqa: ARG001  the stage contract; a base needs no other stage
    out: Path,
    ctx: Context,
) -> Metrics:
    """Make, copy or fetch the base and write it with ``base.json`` to ``out``.

    Raises:
        ConfigError: The shape, a text, the pin or the licence cannot be used.
        EnvironmentMismatch: The hub cannot be reached or refuses access.
        StageFailed: A loss is no number, a file is broken or there is no chat template.
    """
    if cfg.base.weights is Weights.random:
        facts = _random(cfg, out, ctx)
    elif cfg.base.source is BaseSource.tiny:
        facts = _make(cfg, out, ctx)
    elif cfg.base.source is BaseSource.local:
        facts = _copy(cfg.base, out, ctx)
    else:
        facts = _fetch(cfg.base, out, ctx)
    fold_chat_template(out)
    edit_chat_template(cfg.base, out)
    facts |= {
        "source": cfg.base.source.value,
        "weights": cfg.base.weights.value,
        "files": {path.name: file_digest(path) for path in tree_files(out)},
    }
    # No time enters the file: equal inputs give equal bytes.
    stored = {key: value for key, value in facts.items() if key != "seconds"}
    write_text(out / "base.json", json.dumps(stored, indent=1, sort_keys=True) + "\n")
    kept = (
        "source",
        "weights",
        "id",
        "commit",
        "licence",
        "seconds",
        "parameters",
        "last_loss",
        "threads",
    )
    return {key: facts[key] for key in kept if key in facts}


def _make(cfg: BaseStageConf, out: Path, ctx: Context) -> dict[str, Any]:
    made = tiny.make(
        cfg.base.shape,
        cfg.base.tiny,
        seed=cfg.seed,
        folder=out,
        report=loss_report(ctx.progress),
    )
    return asdict(made) | {
        "id": cfg.base.name,
        "licence": cfg.base.licence,
        "seed": cfg.seed,
        "last_loss": made.loss[-1][1],
    }


def _random(cfg: BaseStageConf, out: Path, ctx: Context) -> dict[str, Any]:
    made = random_weights.make(
        architecture(cfg.base.shape.model_type).config(cfg.base.shape),
        cfg.base.tiny,
        dtype=cfg.base.dtype,
        seed=cfg.seed,
        folder=out,
        report=ctx.progress.update,
    )
    return made | {"id": f"{cfg.base.name}, random weights", "licence": cfg.base.licence}


def _copy(base: BaseConf, out: Path, ctx: Context) -> dict[str, Any]:
    """Copy, never link: a later edit of the user's folder must not reach the store."""
    folder = expanded(str(base.path))
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and hub_cache.is_wanted(path.name)
    ]
    for index, path in enumerate(found):
        ctx.progress.update(index, len(found), path.name)
        shutil.copyfile(path, out / path.name)
    return {"id": folder.resolve().name, "licence": base.licence}


def _fetch(base: BaseConf, out: Path, ctx: Context) -> dict[str, Any]:
    name, commit = hub.check(base.hub)
    ctx.progress.update(0, 1, f"fetching {name} at {commit[:12]}")
    fetched = hub.fetch(base.hub, cache=ctx.cache_dir / "tools" / "hub", folder=out)
    ctx.progress.update(1, 1, f"{len(fetched.files)} files")
    _check_licence(base.licence, fetched.licence, name)
    return {
        "id": name,
        "commit": commit,
        "licence": base.licence,
        "licence_on_hub": fetched.licence,
        "files_on_hub": fetched.files,
    }


def _check_licence(declared: str, found: str | None, name: str) -> None:
    if found is not None and found.casefold() != declared.casefold():
        raise ConfigError(
            f"base.licence: {declared!r} is declared, the card of {name} says {found!r}",
            hint=f"read the terms of {name}, then set base.licence={found}",
        )


def edit_chat_template(base: BaseConf, folder: Path) -> None:
    """Fold the system role where the base asks for it, and stop the template's clock."""
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    found = config["chat_template"]
    if not isinstance(found, str):
        raise StageFailed(
            "base: the checkpoint has several named chat templates",
            hint="keep one: write it as text under chat_template of tokenizer_config.json",
        )
    config["chat_template"] = template.edited(found, fold=base.system_fold, date=base.template_date)
    if config["chat_template"] != found:
        write_text(file, json.dumps(config, indent=2, ensure_ascii=False) + "\n")


def fold_chat_template(folder: Path) -> None:
    """Bring a template in a file of its own into tokenizer_config.json, where readers look.

    Raises:
        StageFailed: The checkpoint has no chat template.
    """
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    apart = folder / "chat_template.jinja"
    if apart.is_file():
        config["chat_template"] = apart.read_text(encoding="utf-8")
        write_text(file, json.dumps(config, indent=2, ensure_ascii=False) + "\n")
        apart.unlink()
    if not config.get("chat_template"):
        raise StageFailed(
            "base: the checkpoint has no chat template",
            hint="take an instruct model; a bare one cannot chat",
        )
