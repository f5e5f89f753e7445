"""Own the command line: verbs, help, Hydra's flags, error screens and exit codes."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from webslm import __version__
from webslm.basics.errors import ConfigError, WebslmError
from webslm.basics.faults import explained
from webslm.basics.paths import (
    RECIPES_SCHEME,
    SCHEME,
    conf_dir,
    conf_dirs,
    recipes_dirs,
)
from webslm.basics.screen import Screen, tolerate_terminal
from webslm.config.freeform import literal, quoted


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    words = list(sys.argv[1:] if argv is None else argv)
    # Read when torch loads its thread pool: waiting threads that spin made training 15 times
    # slower on a machine with other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    tolerate_terminal()
    _name_user()
    sys.exit(run(words))


def _name_user() -> None:
    """Give a user without an entry (``docker run --user 1042``) a name: torch asks for one."""
    try:
        getpass.getuser()
    except (ImportError, KeyError, OSError):
        number = os.getuid() if hasattr(os, "getuid") else ""
        os.environ["USER"] = f"uid{number}"


def run(words: list[str]) -> int:
    """Do what the words say and return the exit code; every user mistake ends as sentences."""
    try:
        return _dispatch(words)
    except BrokenPipeError:
        # Whoever read the output has gone (`| head`): nothing is left to be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as exc:  # noqa: BLE001  the boundary: whatever it is, it is told
        error = explained(exc, places=(Path.cwd(),))
        _show(error)
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: what was finished is kept, run the same command again\n")
        return 130


def _dispatch(words: list[str]) -> int:
    if "--help" in words or "-h" in words:
        from webslm.cli.help import help_text

        sys.stdout.write(help_text())
        return 0
    if "--version" in words:
        sys.stdout.write(f"webslm {__version__}\n")
        return 0
    if words and words[0].isidentifier():
        from webslm.cli.verbs import tree

        if words[0] in tree.VERBS:
            return tree.run(words)
    words = _config_dirs([_alias(word) for word in words])
    if [word for word in words if word.startswith("-")] in (["-m"], ["--multirun"]):
        from webslm.cli.sweeps import run as run_sweep

        return run_sweep([word for word in words if not word.startswith("-")])
    if any(word.startswith("-") for word in words):
        return _hydra(words)
    return _build(words)


def _alias(word: str) -> str:
    # `from` cannot name a dataclass field.
    return f"from_stage{word.removeprefix('from')}" if word.startswith("from=") else word


def _config_dirs(words: list[str]) -> list[str]:
    """Turn ``--config-dir DIR`` into the search path that both ways of composing read."""
    kept: list[str] = []
    folders: list[Path] = []
    rest = iter(words)
    for word in rest:
        flag, equals, value = word.partition("=")
        if flag not in ("--config-dir", "-cd"):
            kept.append(word)
            continue
        folder = Path(value if equals else next(rest, "")).resolve()
        if not folder.is_dir():
            raise ConfigError(
                f"{flag}: {folder}: no such folder", hint="name the folder above your domain/"
            )
        folders.append(folder)
    # A project's own conf/ and recipes/ are found without being named.
    sources = [f"{SCHEME}://{folder}" for folder in (*folders, *conf_dirs()[1:])]
    sources += [f"{RECIPES_SCHEME}://{folder}" for folder in recipes_dirs()[1:]]
    listed = ",".join(quoted(literal(source)) for source in sources)
    return [*kept, f"hydra.searchpath=[{listed}]"] if sources else kept


def _build(words: list[str]) -> int:
    from webslm.config.checks.preflight import preflight
    from webslm.config.compose import compose, good_overrides

    try:
        cfg = compose(words)
    except ConfigError as exc:
        problems = list(exc.problems)
        good = good_overrides(words)
        try:
            # What does compose is checked as well, so that all mistakes show at once; not with
            # another base than the one that was asked for, which has other rules.
            if not any(word.startswith("base=") for word in set(words) - set(good)):
                preflight(compose(good))
        except ConfigError as more:
            problems += [problem for problem in more.problems if problem not in problems]
        raise ConfigError(problems=tuple(problems)) from exc
    return _run_build(cfg, words)


def _run_build(cfg: Any, words: Sequence[str]) -> int:
    from webslm.cli.build import build

    build(cfg, ("python", "-m", "webslm", *words), Screen())
    return 0


def _hydra(words: list[str]) -> int:
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from webslm.config.compose import CONFIG_NAME, explain, register_schema, to_config
    from webslm.config.freeform import typed

    # Without it Hydra prints its own screen and exits with 1 for everything.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    register_schema()
    _check_flags(words)
    overrides = [word for word in words if not word.startswith("-") and "=" in word]
    # argparse wants the overrides in one run.
    words = [*typed(overrides), *(word for word in words if word not in overrides)]

    def task(raw: Any) -> None:
        from hydra.core.hydra_config import HydraConfig

        job = list(HydraConfig.get().overrides.task)
        _run_build(to_config(raw), job)

    entry = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=CONFIG_NAME)(
        task
    )
    kept, sys.argv = sys.argv, ["webslm", *words]
    try:
        entry()
    except (HydraException, OmegaConfBaseException) as exc:
        raise explain(exc, overrides) from exc
    finally:
        sys.argv = kept
    return 0


def _check_flags(words: Sequence[str]) -> None:
    """Refuse flags that Hydra does not have, before it prints a screen of its own."""
    from webslm.config.mistakes import flag_problem

    given = [word for word in words if word.startswith("-")]
    unknown = [flag for flag in given if flag.partition("=")[0] not in HYDRA_FLAGS]
    if unknown:
        raise ConfigError(problems=tuple(map(flag_problem, unknown)))
    shown = [word.partition("=")[2] for word in given if word.startswith(("--cfg=", "-c="))]
    after = (words[at + 1 : at + 2] for at, word in enumerate(words) if word in ("--cfg", "-c"))
    shown += [next(iter(follower), "") for follower in after]
    for what in shown:
        if what not in SHOWN:
            raise ConfigError(
                f"--cfg: shows no {what!r}", hint=f"--cfg job; one of {', '.join(SHOWN)}"
            )


def _show(error: WebslmError) -> None:
    try:
        from webslm.report.summary import show_error

        show_error(Screen(stderr=True), error)
    except MemoryError:
        sys.stderr.write(f"{error.label}: {error.message}\n")


PIPE_CLOSED = 141
"""What shells show for a program that SIGPIPE ended; not every system has that signal."""
HYDRA_FLAGS = (
    *("--cfg", "-c", "--resolve", "--package", "-p", "--run", "-r", "--multirun", "-m", "--info"),
    *("-i", "--hydra-help", "--config-path", "-cp", "--config-name", "-cn", "--shell-completion"),
    "--experimental-rerun",
)
SHOWN = ("job", "hydra", "all")
"""What ``--cfg`` can show."""
