"""Own what is asked before a build is planned: configuration, files, rows. Start no work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from webslm.basics.errors import ConfigError
from webslm.basics.paths import resolve_data
from webslm.config import local_base
from webslm.config.checks.values import validate
from webslm.engine.plan import Step
from webslm.engine.table import BY_NAME
from webslm.schema import (
    Align,
    BaseSource,
    Config,
    DataStageConf,
    Finetune,
    FinetuneStageConf,
    Weights,
)


def preflight(cfg: Config) -> None:
    """Refuse what cannot be built, before any work: values, combinations, files, dataset lines.

    Raises:
        ConfigError: Holds every problem found.
    """
    problems: list[tuple[str, str | None]] = []
    checks = (validate, _check_files, _check_base, _check_data, _check_general, _check_adapter)
    for check in checks:
        try:
            check(cfg)
        except ConfigError as exc:
            problems.extend(exc.problems)
    if problems:
        raise ConfigError(problems=tuple(dict.fromkeys(problems)))


def notices(cfg: Config) -> list[str]:
    """Return what a build that may start leaves out of what the user gave, a line each."""
    return local_base.left_out(cfg) if _is_given(cfg) else []


def check_pins(cfg: Config, steps: Sequence[Step]) -> None:
    """Refuse files that are not those a recipe was frozen with.

    Raises:
        ConfigError: Names every file that differs.
    """
    found = {key: digest for step in steps for key, digest in step.files.items()}
    problems = [
        (
            f"pins.{key}: the file has sha256 {found[key][:16]}..., pinned is {pin[:16]}...",
            "bring back the pinned file, or drop the pin: '~pins' and freeze again",
        )
        for key, pin in cfg.pins.items()
        if key in found and found[key] != pin
    ]
    if problems:
        raise ConfigError(problems=tuple(problems))


def _check_files(cfg: Config) -> None:
    named = [
        ("domain.knowledge_path", cfg.domain.knowledge_path),
    ]
    if cfg.base.source is BaseSource.tiny:
        named.append(("base.tiny.chat_path", cfg.base.tiny.chat_path))
        named += [("base.tiny.text_paths", path) for path in cfg.base.tiny.text_paths]
    problems: list[tuple[str, str | None]] = []
    for key, name in named:
        if name is None:
            continue
        path = resolve_data(name)
        if not path.is_file():
            problems.append((f"{key}: {path}: no such file", f"check {key}"))
            continue
        if key == "domain.knowledge_path":
            from webslm.bundle.page_facts import documents

            try:
                documents(path)
            except ConfigError as exc:
                problems += exc.problems
    if problems:
        raise ConfigError(problems=tuple(problems))


def _check_base(cfg: Config) -> None:
    if _is_given(cfg):
        local_base.check(cfg, _texts(cfg))


def _is_given(cfg: Config) -> bool:
    return cfg.base.source is BaseSource.local and cfg.base.weights is Weights.checkpoint


def _texts(cfg: Config) -> Iterator[tuple[str, str]]:
    """Yield the messages of the rows with their places, read when the first is asked for."""
    from webslm.rows.source import load_split

    conf = _data_conf(cfg)
    if conf.data.hub.id is not None:
        return
    try:
        split = load_split(conf.data)
    except ConfigError:
        # The check of the rows tells it.
        return
    for row in (*split.train, *split.held_out):
        for number, message in enumerate(row.messages, 1):
            yield f"{row.where(conf.data.path or 'rows')}, message {number}", message["content"]


def _data_conf(cfg: Config) -> DataStageConf:
    conf = BY_NAME["data"].configure(cfg)
    assert isinstance(conf, DataStageConf)
    return conf


def _check_adapter(cfg: Config) -> None:
    if cfg.adapter.path is None:
        return
    from webslm.stages.finetune import check_before

    conf = BY_NAME["finetune"].configure(cfg)
    assert isinstance(conf, FinetuneStageConf)
    check_before(conf)


def _check_general(cfg: Config) -> None:
    from webslm.evaluation.general import check_general

    check_general(cfg.evaluate)


def _check_data(cfg: Config) -> None:
    from webslm.rows.source import load_split

    conf = _data_conf(cfg)
    if conf.data.hub.id is not None:
        # Rows of the hub are not here yet: their mistakes show when the stage has fetched them.
        return
    split = load_split(conf.data)
    if cfg.lora.early_stopping_patience and not split.held_out:
        raise ConfigError(
            "lora.early_stopping_patience: there are no held-out rows to stop by",
            hint="data.held_out_fraction=0.1, or data.held_out_path=FILE",
        )
    tuned = cfg.finetune is not Finetune.none
    if tuned and cfg.align is Align.dpo and cfg.dpo.path is not None:
        from webslm.stages.align import load_pairs

        load_pairs(cfg.dpo, split.train, split.held_out)
