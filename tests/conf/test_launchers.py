"""Every shipped launcher composes, and its plugin takes what it is given."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from webslm.basics.paths import conf_dir
from webslm.config.compose import compose_raw, composition_errors, explain

# Option -> (module of its plugin, class, values that must arrive).
LAUNCHERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "machine": (
        "hydra_plugins.hydra_joblib_launcher",
        "joblib_launcher.JoblibLauncher",
        {"pre_dispatch": "n_jobs"},
    ),
    "slurm": (
        "hydra_plugins.hydra_submitit_launcher",
        "submitit_launcher.SlurmLauncher",
        {"name": "webslm", "cpus_per_task": 2, "mem_gb": 8, "timeout_min": 240},
    ),
    "slurm_local": (
        "hydra_plugins.hydra_submitit_launcher",
        "submitit_launcher.LocalLauncher",
        {"name": "webslm", "timeout_min": 240},
    ),
    "ray_cluster": (
        "hydra_plugins.hydra_ray_launcher",
        "ray_launcher.RayLauncher",
        {"ray": {"remote": {"num_cpus": 2}}},
    ),
}


def is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def holds(found: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        return all(key in found and holds(found[key], expected[key]) for key in expected)
    return bool(found == expected)


def test_every_shipped_launcher_is_looked_at() -> None:
    shipped = {path.stem for path in (conf_dir() / "hydra" / "launcher").glob("*.yaml")}
    assert shipped == set(LAUNCHERS)


@pytest.mark.parametrize("option", LAUNCHERS)
def test_launcher_composes_and_its_plugin_takes_it(option: str) -> None:
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    module, target, values = LAUNCHERS[option]
    if not is_there(module):
        pytest.skip(f"{module} is not installed")
    raw = compose_raw([f"hydra/launcher={option}", f"hydra.sweep.dir={option}"], hydra=True)
    launcher = raw.hydra.launcher
    assert launcher._target_ == f"{module}.{target}"
    assert holds(launcher, values)
    OmegaConf.set_readonly(raw, False)
    # Interpolations of Hydra's own run are set by a run only.
    if "submitit_folder" in launcher:
        launcher.submitit_folder = "logs"
    assert type(instantiate(launcher)).__name__ == target.rpartition(".")[2]


@pytest.mark.parametrize("option", LAUNCHERS)
def test_launcher_without_its_plugin_is_a_sentence(
    option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hydra.core.config_store import ConfigStore

    module = LAUNCHERS[option][0]
    if is_there(module):
        # What the plugin registered when Hydra imported it.
        known = ConfigStore.instance().repo["hydra"]["launcher"]
        kept = {name: node for name, node in known.items() if module not in str(node.node)}
        monkeypatch.setitem(ConfigStore.instance().repo["hydra"], "launcher", kept)
    with pytest.raises(composition_errors()) as caught:
        compose_raw([f"hydra/launcher={option}"], hydra=True)
    problems = explain(caught.value, [f"hydra/launcher={option}"]).problems
    assert problems[0][0] == f"hydra/launcher={option}: its packages are not installed"
    assert f"'webslm[{'ray' if option == 'ray_cluster' else 'sweep'}]'" in str(problems[0][1])


def test_cluster_values_are_set_on_the_command_line() -> None:
    if not is_there(LAUNCHERS["slurm"][0]):
        pytest.skip("submitit is not installed")
    words = ["hydra/launcher=slurm", "hydra.launcher.partition=gpu", "hydra.launcher.gres='gpu:1'"]
    launcher = compose_raw(words, hydra=True).hydra.launcher
    assert (launcher.partition, launcher.gres) == ("gpu", "gpu:1")


def test_extras_bring_the_plugins_of_the_shipped_options() -> None:
    if sys.version_info < (3, 11):
        pytest.skip("reads pyproject.toml with tomllib")
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"]
    for option, (module, _, _) in LAUNCHERS.items():
        wheel = module.removeprefix("hydra_plugins.").replace("_", "-")
        extra = extras["ray" if option == "ray_cluster" else "sweep"]
        assert any(pin.startswith(f"{wheel}==") for pin in extra)
    assert any(pin.startswith("hydra-optuna-sweeper==") for pin in extras["sweep"])
