"""Own ``-m``: check every job before work, hand them to Hydra's launchers, report what came back.

Beside ``cli`` and ``compose`` the only module that knows Hydra.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from rich.text import Text

from webslm.basics.errors import Bug, ConfigError, StageFailed, WebslmError
from webslm.basics.paths import cache_dir, conf_dir, expanded
from webslm.basics.screen import Screen
from webslm.cli.build import build, look, open_stores
from webslm.config.axes import Sweep, read_sweep
from webslm.config.checks.preflight import preflight
from webslm.config.compose import compose_job, explain, to_config
from webslm.config.freeform import literal, quoted, text_of, typed
from webslm.engine.executor import BuildFailed
from webslm.engine.look import Planned
from webslm.engine.store.artifacts import Cache
from webslm.report.sweep import capacity as machine
from webslm.report.sweep.measures import check_metric, measure
from webslm.report.sweep.naming import job_name
from webslm.report.sweep.record import (
    Record,
    failure,
    forget_records,
    read_records,
    steps_of,
    write_record,
)
from webslm.report.sweep.report import Job, finish, show_plan
from webslm.schema import Config

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
Swept = Mapping[str, str]


def run(words: Sequence[str]) -> int:
    """Run a sweep and return the exit code of its first failed job, or 0.

    Raises:
        ConfigError: Holds every problem of every job; nothing has run then.
    """
    sweep, configs = _check(read_sweep(words))
    console = Screen()
    plans = [look(cfg, open_stores(cfg)) for cfg in configs]
    named = [
        Job(name=cfg.name, planned=planned) for cfg, planned in zip(configs, plans, strict=True)
    ]
    if configs[0].dry_run:
        show_plan(console, named)
        return 0
    if not sweep.jobs:
        # A search names its jobs as it goes.
        named = []
    extra = _launch_words(sweep, plans, console)
    sweep.folder.mkdir(parents=True, exist_ok=True)
    forget_records(sweep.folder)
    bug: Exception | None = None
    try:
        bug = _launch(sweep, extra)
    finally:
        records = read_records(sweep.folder)
        command = ("python", "-m", "webslm", "-m", *sweep.words)
        finish(console, sweep.folder, command, records, named, sweep.metric)
    failed = [record.exit_code for record in records if not record.ok]
    if bug is not None and not failed:
        raise bug
    if not failed and len(records) < len(configs):
        raise StageFailed(
            f"sweep: {len(configs) - len(records)} of {len(configs)} builds were lost",
            hint="run the same command again: what is done is kept",
        )
    return failed[0] if failed else 0


def _check(sweep: Sweep) -> tuple[Sweep, list[Config]]:
    """Compose and check every job; a sweeper that finds its own values is checked without them."""
    problems: list[tuple[str, str | None]] = []
    raws: list[tuple[Swept, Any]] = []
    for job in sweep.jobs or (sweep.fixed,):
        try:
            raws.append((swept_values(job, sweep.swept), compose_job([*sweep.paths, *job])))
        except ConfigError as exc:
            problems += exc.problems
    if sweep.jobs:
        sweep = replace(sweep, naming=_naming_keys(sweep.swept, raws))
    configs: list[Config] = []
    for values, raw in raws:
        try:
            _rename(raw, values, sweep.naming)
            configs.append(to_config(raw))
            preflight(configs[-1])
            if sweep.metric is not None:
                check_metric(sweep.metric, configs[-1].until)
        except ConfigError as exc:
            problems += exc.problems
    problems += _collisions(configs)
    if problems:
        raise ConfigError(problems=tuple(dict.fromkeys(problems)))
    return sweep, configs


def _naming_keys(swept: Sequence[str], raws: Sequence[tuple[Swept, Any]]) -> tuple[str, ...]:
    """Return the fewest keys that keep the names apart: a recipe's domain may say enough."""
    kept = tuple(swept)
    for key in swept:
        fewer = tuple(each for each in kept if each != key)
        if len({_name(raw, values, fewer) for values, raw in raws}) == len(raws):
            kept = fewer
    return kept


def _collisions(configs: Sequence[Config]) -> list[tuple[str, str | None]]:
    problems: list[tuple[str, str | None]] = []
    taken: dict[Path, str] = {}
    for cfg in configs:
        output = expanded(cfg.output_dir).resolve()
        if output in taken:
            problems.append(
                (
                    f"output_dir: jobs {taken[output]!r} and {cfg.name!r} would both write to "
                    f"{cfg.output_dir}",
                    "output_dir='FOLDER/${name}', and no value twice in one list",
                )
            )
        taken[output] = cfg.name
    return problems


def swept_values(job: Sequence[str], swept: Sequence[str]) -> dict[str, str]:
    """Return what a job's overrides set the swept keys to."""
    words = [word.lstrip("+") for word in job]
    return {key: text_of(word) for word in words if (key := word.partition("=")[0]) in swept}


def _rename(raw: Any, values: Swept, naming: Sequence[str]) -> None:
    raw.name = _name(raw, values, naming)


def _name(raw: Any, values: Swept, naming: Sequence[str]) -> str:
    from omegaconf import OmegaConf

    template = OmegaConf.to_container(raw, resolve=False)
    assert isinstance(template, dict)
    shown = {key: value for key, value in values.items() if key in naming}
    return job_name(str(raw.name), str(template["name"]), shown)


def _launch_words(sweep: Sweep, plans: Sequence[Sequence[Planned]], console: Screen) -> list[str]:
    extra = [f"hydra.sweep.dir={quoted(literal(str(sweep.folder)))}"]
    given = any(word.startswith("hydra.launcher.n_jobs=") for word in sweep.words)
    if sweep.launcher == "JoblibLauncher" and not given:
        found = machine.capacity(plans, Cache(cache_dir()))
        console.print(found.sentence())
        extra.append(f"hydra.launcher.n_jobs={found.jobs}")
    if sweep.launcher == "JoblibLauncher":
        # joblib divides the cores among its workers, and sums split over another number of
        # threads give other bytes under the same key.
        for name in THREAD_VARIABLES:
            os.environ.setdefault(name, str(machine.num_cores()))
    return extra


def _launch(sweep: Sweep, extra: Sequence[str]) -> Exception | None:
    """Run Hydra's sweeper; return what it raised, which the records tell better."""
    import hydra

    # Without it Hydra prints its own screen and exits with 1 for everything.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")

    def task(raw: Any) -> float | None:
        return run_job(raw, sweep)

    entry = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(task)
    overrides = typed([word for word in sweep.words if not word.startswith("-")], sweep=True)
    kept, sys.argv = sys.argv, ["webslm", *overrides, *extra, "--multirun"]
    try:
        entry()
    except Exception as exc:  # noqa: BLE001  jobs report themselves; the rest is explained
        return exc if read_records(sweep.folder) else explain(exc, sweep.fixed)
    finally:
        sys.argv = kept
    return None


def run_job(raw: Any, sweep: Sweep) -> float | None:
    """Build one job where the launcher put it, leave its record there, return the metric.

    A build's failure is in the record and not raised: launchers would print it a second time, and
    for a searching sweeper no number already is a failed trial.
    """
    from hydra.core.hydra_config import HydraConfig

    job = HydraConfig.get()
    overrides, folder = list(job.overrides.task), Path(job.runtime.output_dir)
    values = swept_values(overrides, sweep.swept)
    _rename(raw, values, sweep.naming)
    cfg = to_config(raw)
    about = {"number": int(job.job.num), "name": cfg.name, "swept": values}
    about["output_dir"] = os.path.relpath(cfg.output_dir)
    command = ("python", "-m", "webslm", *overrides, f"name={cfg.name}")
    started = time.monotonic()
    try:
        with _console(folder, about, parallel=sweep.launcher != "BasicLauncher") as console:
            results = build(cfg, command, console)
            value = None if sweep.metric is None else measure(results, sweep.metric)
    except Exception as exc:
        cause = exc.__cause__
        stage, done = (cause.stage, cause.results) if isinstance(cause, BuildFailed) else (None, [])
        ended = {**about, **steps_of(done), **failure(exc, stage)}
        write_record(folder, Record(ok=False, seconds=time.monotonic() - started, **ended))
        if isinstance(exc, WebslmError) and not isinstance(exc, Bug):
            return None
        raise
    ended = {**about, **steps_of(results)}
    write_record(folder, Record(ok=True, seconds=time.monotonic() - started, **ended))
    return value


@contextmanager
def _console(folder: Path, about: Mapping[str, Any], *, parallel: bool) -> Any:
    """Give the terminal to a job that has it alone, a file to one that shares it."""
    if not parallel:
        console = Screen()
        console.print(Text.assemble("\n", (f"job {about['number']}", "bold"), f" {about['name']}"))
        yield console
        return
    file: IO[str]
    with (folder / "output.txt").open("w", encoding="utf-8") as file:
        yield Screen(file=file, width=100)
