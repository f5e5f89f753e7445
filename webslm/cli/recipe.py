"""Own frozen recipes: a lock's configuration and pins as one YAML that composes again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webslm.basics.errors import ConfigError
from webslm.basics.paths import conf_dir
from webslm.config.compose import escaped

GROUPS = ("domain", "base", "quant", "compiler", "runtime", "app", "verify")
"""Groups whose options call themselves by name; every value is written out all the same."""
DROPPED = ("dry_run", "until", "force", "pins", "publish")
"""How one run was made, not what was built."""


def freeze(lock: Mapping[str, Any]) -> str:
    """Return a recipe (``recipe/NAME.yaml``) that builds what a lock describes.

    It holds every value, so later changes of the shipped groups do not reach it, and the sha256
    of every file that is read from outside, so a changed file is refused.

    Raises:
        ConfigError: The lock records no configuration.
    """
    import yaml

    if not lock.get("config"):
        raise ConfigError("recipe freeze: the lock records no configuration", hint="build it again")
    config = {key: value for key, value in lock["config"].items() if key not in DROPPED}
    pins = {
        key: digest for entry in lock["stages"].values() for key, digest in entry["inputs"].items()
    }
    options = [
        {f"override /{group}": config[group]["name"]}
        for group in GROUPS
        if (conf_dir() / group / f"{config[group]['name']}.yaml").is_file()
    ]
    matrix, name = lock["matrix"], str(lock["name"])
    body = {"defaults": options, **escaped(config), "pins": pins}
    text: str = yaml.dump(body, Dumper=_dumper(), sort_keys=True, width=1000, allow_unicode=True)
    return (
        "# @package _global_\n"
        f"# Frozen from the lock of {name}; save it as DIR/recipe/NAME.yaml and build it with\n"
        "#   python -m webslm --config-dir DIR recipe=NAME\n"
        f"# made with webslm {lock['webslm']}, python {matrix['python']}, row {matrix['row']}, "
        f"browser {matrix['browser']}\n" + text
    )


def _dumper() -> type[Any]:
    """Return a dumper that quotes every text: OmegaConf reads ``79e6032`` as a number."""
    import yaml

    class Quoting(yaml.SafeDumper):  # type: ignore[misc]  # the stubs are not installed
        pass

    def quoted(dumper: Any, text: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')

    Quoting.add_representer(str, quoted)
    return Quoting
