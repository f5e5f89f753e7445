"""Own ``-m``: check every job before work, hand them to Hydra's launchers, report what came back.

Beside ``cli`` and ``compose`` the only module that knows Hydra.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from webslm.build import build, preflight
from webslm.cache import Cache
from webslm.compose import (
    Axis,
    SweepSettings,
    compose_job,
    explain,
    hydra_settings,
    parse_overrides,
    to_config,
)
from webslm.errors import ConfigError, StageFailed, WebslmError
from webslm.executor import BuildFailed
from webslm.keys import text_digest
from webslm.paths import cache_dir, conf_dir
from webslm.plan import Step, plan
from webslm.schema import Config
from webslm.sweep import capacity as machine
from webslm.sweep.measures import check_metric, measure
from webslm.sweep.naming import job_name
from webslm.sweep.record import (
    Record,
    failure,
    forget_records,
    read_records,
    steps_of,
    write_record,
)
from webslm.sweep.report import Planned, finish, show_plan

if TYPE_CHECKING:
    from rich.console import Console

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
Swept = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What the command line asks for, before any job is looked at."""

    words: tuple[str, ...]
    jobs: tuple[tuple[str, ...], ...]
    """Overrides of every job; empty when the sweeper finds them as it goes."""
    fixed: tuple[str, ...]
    swept: tuple[str, ...]
    """Keys that differ between jobs."""
    folder: Path
    launcher: str
    metric: str | None


def run(words: Sequence[str]) -> int:
    """Run a sweep and return the exit code of its first failed job, or 0.

    Raises:
        ConfigError: Holds every problem of every job; nothing has run then.
    """
    from rich.console import Console

    sweep = _read(words)
    configs = _check(sweep)
    console = Console()
    plans = [plan(cfg) for cfg in configs]
    named = [Planned(name=cfg.name, steps=steps) for cfg, steps in zip(configs, plans, strict=True)]
    cache = Cache(cache_dir())
    if configs[0].dry_run:
        show_plan(console, named, cache)
        return 0
    if not sweep.jobs:
        # A search names its jobs as it goes.
        named = []
    extra = _launch_words(sweep, plans, cache, console)
    sweep.folder.mkdir(parents=True, exist_ok=True)
    forget_records(sweep.folder)
    bug: Exception | None = None
    try:
        bug = _launch(sweep, extra)
    finally:
        records = read_records(sweep.folder)
        command = ("python", "-m", "webslm", *sweep.words)
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


def _read(words: Sequence[str]) -> Sweep:
    overrides = [word for word in words if not word.startswith("-")]
    parsed = parse_overrides(overrides)
    fixed = [word for word, each in zip(overrides, parsed, strict=True) if not each.swept]
    settings = hydra_settings(fixed)
    mine = {each.key for each in parsed}
    chosen = parse_overrides([f"{k}={v}" for k, v in (settings.params or {}).items()])
    axes = [each for each in chosen if each.key not in mine] + parsed
    axes = [each for each in axes if not each.hydra]
    swept = tuple(dict.fromkeys(each.key for each in axes if each.swept))
    name = settings.name or _default_name(swept, overrides)
    return Sweep(
        words=tuple(words),
        jobs=_jobs(axes, settings),
        fixed=tuple(word for word in fixed if not word.startswith(("hydra.", "hydra/"))),
        swept=swept,
        folder=Path(settings.folder or Path("outputs") / "sweeps" / name).resolve(),
        launcher=settings.launcher,
        metric=settings.metric,
    )


def _jobs(axes: Sequence[Axis], settings: SweepSettings) -> tuple[tuple[str, ...], ...]:
    if not settings.is_basic_sweeper:
        if settings.metric is None:
            raise ConfigError(
                "sweep.metric: is not set, and the sweeper needs a number to improve",
                hint="such as sweep.metric=verify.rouge_l or sweep.metric=finetune.last_loss",
            )
        return ()
    empty = [each.key for each in axes if not each.choices]
    if empty:
        raise ConfigError(
            problems=tuple(
                (f"{key}: names no value to try", "a list such as KEY=1,2; intervals need a search")
                for key in empty
            )
        )
    return tuple(itertools.product(*(each.choices for each in axes)))


def _default_name(swept: Sequence[str], overrides: Sequence[str]) -> str:
    """Return one name for one command: running it again is running the same sweep again."""
    leaves = [key.rpartition(".")[2].replace("/", "_") for key in swept]
    digest = text_digest("\n".join(sorted(overrides)))[:6]
    return "-".join([*leaves[:4], digest])


def _check(sweep: Sweep) -> list[Config]:
    """Compose and check every job; a sweeper that finds its own values is checked without them."""
    paths = [word for word in sweep.words if word.startswith("hydra.searchpath=")]
    problems: list[tuple[str, str | None]] = []
    configs: list[Config] = []
    for job in sweep.jobs or (sweep.fixed,):
        try:
            raw = compose_job([*paths, *job])
            _rename(raw, swept_values(job, sweep.swept))
            configs.append(to_config(raw))
            preflight(configs[-1])
            if sweep.metric is not None:
                check_metric(sweep.metric, configs[-1].until)
        except ConfigError as exc:
            problems += exc.problems
    problems += _collisions(configs)
    if problems:
        raise ConfigError(problems=tuple(dict.fromkeys(problems)))
    return configs


def _collisions(configs: Sequence[Config]) -> list[tuple[str, str | None]]:
    problems: list[tuple[str, str | None]] = []
    taken: dict[Path, str] = {}
    for cfg in configs:
        output = Path(cfg.output_dir).expanduser().resolve()
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
    pairs = (word.lstrip("+").partition("=") for word in job)
    return {key: value for key, _, value in pairs if key in swept}


def _rename(raw: Any, swept: Swept) -> None:
    from omegaconf import OmegaConf

    template = OmegaConf.to_container(raw, resolve=False)
    assert isinstance(template, dict)
    raw.name = job_name(str(raw.name), str(template["name"]), swept)


def _launch_words(
    sweep: Sweep, plans: Sequence[Sequence[Step]], cache: Cache, console: Console
) -> list[str]:
    extra = [f"hydra.sweep.dir='{sweep.folder}'"]
    given = any(word.startswith("hydra.launcher.n_jobs=") for word in sweep.words)
    if sweep.launcher == "JoblibLauncher" and not given:
        found = machine.capacity(plans, cache)
        console.print(found.sentence(), highlight=False)
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
    task = _task(sweep.swept, sweep.metric, parallel=sweep.launcher != "BasicLauncher")
    entry = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(task)
    overrides = [word for word in sweep.words if not word.startswith("-")]
    kept, sys.argv = sys.argv, ["webslm", *overrides, *extra, "--multirun"]
    try:
        entry()
    except Exception as exc:  # noqa: BLE001  jobs report themselves; the rest is explained
        return exc if read_records(sweep.folder) else explain(exc, sweep.fixed)
    finally:
        sys.argv = kept
    return None


def _task(
    swept: tuple[str, ...], metric: str | None, *, parallel: bool
) -> Callable[[Any], float | None]:
    def task(raw: Any) -> float | None:
        return run_job(raw, swept, metric, parallel=parallel)

    return task


def run_job(raw: Any, swept: Sequence[str], metric: str | None, *, parallel: bool) -> float | None:
    """Build one job where the launcher put it, leave its record there, return the metric.

    A build's failure is in the record and not raised: launchers would print it a second time, and
    for a searching sweeper no number already is a failed trial.
    """
    from hydra.core.hydra_config import HydraConfig

    job = HydraConfig.get()
    overrides, folder = list(job.overrides.task), Path(job.runtime.output_dir)
    values = swept_values(overrides, swept)
    _rename(raw, values)
    cfg = to_config(raw)
    about = {"number": int(job.job.num), "name": cfg.name, "swept": values}
    about["output_dir"] = os.path.relpath(cfg.output_dir)
    command = ("python", "-m", "webslm", *overrides, f"name={cfg.name}")
    started = time.monotonic()
    try:
        with _console(folder, about, parallel=parallel) as console:
            results = build(cfg, command, console)
            value = None if metric is None else measure(results, metric)
    except Exception as exc:
        cause = exc.__cause__
        stage, done = (cause.stage, cause.results) if isinstance(cause, BuildFailed) else (None, [])
        ended = {**about, **steps_of(done), **failure(exc, stage)}
        write_record(folder, Record(ok=False, seconds=time.monotonic() - started, **ended))
        if isinstance(exc, WebslmError):
            return None
        raise
    ended = {**about, **steps_of(results)}
    write_record(folder, Record(ok=True, seconds=time.monotonic() - started, **ended))
    return value


@contextmanager
def _console(folder: Path, about: Mapping[str, Any], *, parallel: bool) -> Any:
    """Give the terminal to a job that has it alone, a file to one that shares it."""
    from rich.console import Console

    if not parallel:
        console = Console()
        console.print(f"\n[bold]job {about['number']}[/] {about['name']}", highlight=False)
        yield console
        return
    file: IO[str]
    with (folder / "output.txt").open("w", encoding="utf-8") as file:
        yield Console(file=file, width=100)
