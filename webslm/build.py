"""Own one build from a checked configuration: plan, walk, deliver. Know nothing of Hydra."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from rich.console import Console

from webslm.cache import Cache
from webslm.errors import ConfigError, EnvironmentMismatch
from webslm.executor import BuildFailed, execute
from webslm.fs import copy_tree, sync_tree, temporary_dir
from webslm.lock import BUNDLE, check_lock, make_lock, versions, write_lock
from webslm.matrix import check_wheels
from webslm.paths import cache_dir, resolve_data
from webslm.plan import Step, plan
from webslm.precision import settled, unsettled
from webslm.registry import STAGES
from webslm.report import LiveDisplay, make_report, show_plan, show_verify, write_report
from webslm.reporting.page import NAME as PAGE_NAME
from webslm.reporting.page import write_page
from webslm.schema import BaseSource, Config, DataStageConf, Precision, VerifyStageConf, Weights
from webslm.selection import select
from webslm.stage import Result
from webslm.store.remote import open_remote
from webslm.toolchain import is_elsewhere
from webslm.validate import validate


def preflight(cfg: Config) -> None:
    """Refuse what cannot be built, before any work: values, combinations, files, dataset lines.

    Raises:
        ConfigError: Holds every problem found.
    """
    problems: list[tuple[str, str | None]] = []
    for check in (validate, _check_files, _check_data):
        try:
            check(cfg)
        except ConfigError as exc:
            problems.extend(exc.problems)
    if problems:
        raise ConfigError(problems=tuple(dict.fromkeys(problems)))


def build(cfg: Config, command: Sequence[str], console: Console) -> list[Result]:
    """Build, deliver to ``cfg.output_dir`` and show it; a dry run only shows the plan.

    Raises:
        WebslmError: What stopped the build; report.json holds it too.
    """
    preflight(cfg)
    cache = Cache(cache_dir())
    if cfg.precision is Precision.auto:
        chosen = _settle(cfg, command, cache, console)
        if chosen is None:
            return []
        cfg = chosen
    planned = plan(cfg)
    check_pins(cfg, planned)
    steps = select(planned, cfg, lambda step: cache.lookup(step.stage, step.key) is not None)
    if cfg.dry_run:
        _show_plan(console, steps, cache)
        return []
    results = _walk(cfg, command, steps, cache, console)
    output = _output_dir(cfg)
    _deliver(cfg, command, steps, results, output)
    _show(results, output, console)
    return results


def _walk(
    cfg: Config,
    command: Sequence[str],
    steps: Sequence[Step],
    cache: Cache,
    console: Console,
) -> list[Result]:
    """Run the steps; what stops them is reported in the output folder too."""
    check_environment(cfg, steps)
    _check_access(cfg, steps, cache)
    _check_browser(steps, cache)
    shared = open_remote(cfg.cache.remote, push=cfg.cache.push)
    output = _output_dir(cfg)
    log_dir = output / "runs" / time.strftime("%Y%m%d-%H%M%S")
    handler = _log_to(log_dir)
    try:
        return execute(
            steps,
            cache,
            log_dir=log_dir,
            display=LiveDisplay(console),
            shared=shared,
            keep_going=cfg.keep_going,
        )
    except BuildFailed as exc:
        report = make_report(
            name=cfg.name,
            command=command,
            results=exc.results,
            error=exc.error,
            failed_stage=exc.stage,
        )
        write_report(output, report)
        write_page(output, report, steps, exc.results, versions(cfg, steps, exc.results))
        for stage, error in list(exc.failures.items())[1:]:
            console.print(f"also failed: {stage}: {error.message}", markup=False)
        raise exc.error from exc
    finally:
        logging.getLogger("webslm").removeHandler(handler)


def _settle(cfg: Config, command: Sequence[str], cache: Cache, console: Console) -> Config | None:
    """Return the build with its precision chosen; None: a dry run that cannot know it yet.

    A build that ends before calibration is returned as it is.
    """
    steps = plan(unsettled(cfg))
    names = tuple(step.stage for step in steps)
    if cfg.until in names[:-1] or cfg.only in names[:-1]:
        return cfg
    last = steps[-1]
    stored = None if any(step.forced for step in steps) else cache.lookup(last.stage, last.key)
    if stored is not None:
        return settled(cfg, stored.metrics, ())
    if cfg.dry_run:
        _show_plan(console, steps, cache)
        console.print("the rest follows from what calibrate finds", highlight=False)
        return None
    results = _walk(cfg, command, steps, cache, console)
    return settled(cfg, results[-1].metrics, names)


def _show_plan(console: Console, steps: Sequence[Step], cache: Cache) -> None:
    stored = {step.stage: cache.lookup(step.stage, step.key) is not None for step in steps}
    show_plan(console, steps, stored)


def check_environment(cfg: Config, steps: Sequence[Step]) -> None:
    """Hold the wheels of the steps that run in this Python to the row; others check their own.

    Raises:
        EnvironmentMismatch: Names what differs and the command that mends it.
    """
    wheels = {
        name: version
        for step in steps
        if step.stage != "compile" or not is_elsewhere(cfg.compiler.python, step.wheels)
        for name, version in step.wheels.items()
    }
    check_wheels(wheels, cfg.runtime.name)


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


def _check_access(cfg: Config, steps: Sequence[Step], cache: Cache) -> None:
    """Ask for the token of a gated base before the work, not in its middle."""
    base = cfg.base
    fetched = base.source is BaseSource.hub and base.weights is Weights.checkpoint
    stored = any(step.stage == "base" and cache.lookup("base", step.key) for step in steps)
    if base.gated and fetched and not stored and not os.environ.get("HF_TOKEN"):
        raise EnvironmentMismatch(
            f"base: {base.hub.id} is gated and HF_TOKEN is not set",
            hint="accept its terms on the model's page, then set HF_TOKEN to a read token "
            "(base.weights=random tries the shape without)",
        )


def _check_browser(steps: Sequence[Step], cache: Cache) -> None:
    """Find out before the work, not minutes later, that the proof of it cannot run."""
    todo = [step for step in steps if step.forced or not cache.lookup(step.stage, step.key)]
    proof = next((step.conf for step in todo if isinstance(step.conf, VerifyStageConf)), None)
    # On its own the stage looks at the browser first anyway.
    if proof is not None and len(todo) > 1:
        from webslm.proof.machine import check_machine

        check_machine(proof)


def _check_files(cfg: Config) -> None:
    named = [("domain.knowledge_path", cfg.domain.knowledge_path)]
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
        try:
            if path.suffix == ".json":
                json.loads(path.read_text(encoding="utf-8"))
        except ValueError as exc:
            problems.append((f"{key}: {path}: not JSON: {exc}", "a list of {id, title, content}"))
    if problems:
        raise ConfigError(problems=tuple(problems))


def _check_data(cfg: Config) -> None:
    from webslm.stages.data import load_split

    conf = next(spec for spec in STAGES if spec.name == "data").configure(cfg)
    assert isinstance(conf, DataStageConf)
    load_split(conf.data)


def _output_dir(cfg: Config) -> Path:
    output = Path(cfg.output_dir).expanduser().resolve()
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise EnvironmentMismatch(
            f"output_dir: {output} cannot be made: {exc.strerror}", hint="output_dir=FOLDER"
        ) from exc
    return output


class _LogFile(logging.FileHandler):
    """A log whose folder is made with its first line: a build of hits leaves none."""

    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()


def _log_to(log_dir: Path) -> logging.Handler:
    handler = _LogFile(log_dir / "webslm.log", delay=True, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("webslm")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return handler


def _deliver(
    cfg: Config,
    command: Sequence[str],
    steps: Sequence[Step],
    results: Sequence[Result],
    output: Path,
) -> None:
    bundle = next((result for result in results if result.stage == BUNDLE), None)
    lock = make_lock(cfg, command, steps, results)
    if bundle is not None and not _is_delivered(output, bundle):
        with temporary_dir(output, "bundle") as folder:
            copy_tree(bundle.path, folder / "new")
            sync_tree(folder / "new")
            if (output / BUNDLE).exists():
                os.rename(output / BUNDLE, folder / "old")
            os.rename(folder / "new", output / BUNDLE)
    # A build that ends before the bundle leaves an older one alone, and the lock that vouches
    # for it.
    if bundle is not None or not (output / BUNDLE).exists():
        write_lock(output, lock)
    report = make_report(
        name=cfg.name, command=command, results=results, error=None, failed_stage=None
    )
    write_report(output, report)
    write_page(output, report, steps, results, lock["matrix"])


def _is_delivered(output: Path, bundle: Result) -> bool:
    from webslm.errors import WebslmError
    from webslm.lock import read_lock

    try:
        lock = read_lock(output)
        check_lock(output)
    except WebslmError:
        return False
    return bool(lock["stages"].get(BUNDLE, {}).get("key") == bundle.key)


def _show(results: Sequence[Result], output: Path, console: Console) -> None:
    stages = {result.stage: result for result in results}
    if "verify" in stages:
        show_verify(console, stages["verify"].metrics)
    if BUNDLE in stages:
        shown = os.path.relpath(output)
        if shown.startswith(".."):
            shown = str(output)
        console.print(f"\nsite   {shown}/{BUNDLE}", highlight=False)
        console.print(f"serve  python -m webslm serve {shown}/{BUNDLE}", highlight=False)
        console.print(f"check  python -m webslm lock check {shown}", highlight=False)
        console.print(f"report {shown}/{PAGE_NAME}", highlight=False)
