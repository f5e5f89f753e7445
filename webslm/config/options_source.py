"""Own how the user's options (recipes, domains, ...) are read from their YAML files.

Hydra takes UTF-8 without a mark at its start, which some editors and shells do not write.
"""

from __future__ import annotations

import builtins
import codecs
import io
import os
from pathlib import Path
from typing import Any

import yaml

# A plugin is a class of a module; nothing but composing imports this one.
from hydra._internal.core_plugins.file_config_source import FileConfigSource  # noqa: TID253
from hydra.core.config_search_path import ConfigSearchPath  # noqa: TID253
from hydra.core.object_type import ObjectType  # noqa: TID253
from hydra.core.plugins import Plugins  # noqa: TID253
from hydra.plugins.config_source import ConfigLoadError, ConfigResult  # noqa: TID253
from hydra.plugins.search_path_plugin import SearchPathPlugin  # noqa: TID253
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader

from webslm.basics.errors import ConfigError
from webslm.basics.paths import RECIPE_GROUP, RECIPES_SCHEME, SCHEME, recipes_dir
from webslm.config.freeform import takes

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


NOT_LETTERS = ("bool", "int", "float", "timestamp")
"""What YAML takes a plain word for."""


class OptionsSource(FileConfigSource):
    """A folder of YAML files in UTF-8 or UTF-16, marked or not, whatever ends their lines."""

    @staticmethod
    def scheme() -> str:
        """Return how its folders are named."""
        return SCHEME

    def load_config(self, config_path: str) -> ConfigResult:
        """Return an option's configuration and its header (``# @package``)."""
        path = Path(os.path.realpath(Path(self.path) / self._file_name(config_path)))
        if not path.is_file():
            raise ConfigLoadError(f"Config not found : {path}")
        text = read_option(path)
        header = self._get_header_dict(text[:512])
        everywhere = header.get("package") in ("_global_", "_root_")
        prefix = "" if everywhere else config_path.rpartition("/")[0].replace("/", ".")
        return ConfigResult(
            config=OmegaConf.create(values(text, path, prefix)),
            path=f"{self.scheme()}://{self.path}",
            provider=self.provider,
            header=header,
        )

    def _file_name(self, config_path: str) -> str:
        """Return where an option's file lies below the folder."""
        name: str = self._normalize_file_name(config_path)
        return name


class RecipesSource(OptionsSource):
    """A folder whose files are the options of the one group ``recipe``."""

    @staticmethod
    def scheme() -> str:
        """Return how its folders are named."""
        return RECIPES_SCHEME

    def is_group(self, config_path: str) -> bool:
        """Return whether a group lies here."""
        return config_path in ("", RECIPE_GROUP) and Path(self.path).is_dir()

    def is_config(self, config_path: str) -> bool:
        """Return whether an option's file lies here."""
        group = config_path.rpartition("/")[0]
        return group == RECIPE_GROUP and (Path(self.path) / self._file_name(config_path)).is_file()

    def list(self, config_path: str, results_filter: ObjectType | None) -> builtins.list[str]:
        """Return the names of options or, above them, of the group."""
        if config_path == RECIPE_GROUP:
            files = sorted(Path(self.path).glob("*.yaml"))
            return [] if results_filter == ObjectType.GROUP else [path.stem for path in files]
        return [] if config_path or results_filter == ObjectType.CONFIG else [RECIPE_GROUP]

    def _file_name(self, config_path: str) -> str:
        return super()._file_name(config_path.removeprefix(f"{RECIPE_GROUP}/"))


class ShippedRecipes(SearchPathPlugin):
    """Puts the shipped recipes behind the shipped groups."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Name their folder."""
        search_path.append("webslm", f"{RECIPES_SCHEME}://{recipes_dir()}")


def values(text: str, path: Path, prefix: str) -> dict[str, Any]:
    """Return what a YAML file says; a text is its letters: ``name: no`` is no truth value.

    Args:
        text: The file's.
        path: Its name, for messages.
        prefix: Key of the configuration that it is put under; empty: the whole.

    Raises:
        ConfigError: It holds no keys.
        yaml.YAMLError: It is no YAML.
    """
    file = io.StringIO(text)
    # What PyYAML puts before the line of a mistake.
    file.name = str(path)
    loader = get_yaml_loader()(file)
    node = loader.get_single_node()
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{path}: holds no keys", hint="one a line, such as name: my-build")
    _keep_letters(node, prefix)
    found: dict[str, Any] = loader.construct_document(node)
    return found


def _keep_letters(node: Any, prefix: str) -> None:
    """Mark what stands for a text as one: YAML would read ``79e6032`` as a number."""
    for key, value in node.value:
        name = f"{prefix}.{key.value}" if prefix else str(key.value)
        if isinstance(value, yaml.MappingNode):
            _keep_letters(value, name)
        elif (
            isinstance(value, yaml.ScalarNode)
            and value.style is None
            and value.tag.rpartition(":")[2] in NOT_LETTERS
            and takes(name) in ("text", "text or null")
        ):
            value.tag = "tag:yaml.org,2002:str"


def read_option(path: Path) -> str:
    """Return the text of a YAML file.

    Raises:
        ConfigError: It is in no encoding of Unicode.
    """
    raw = path.read_bytes()
    encoding = next((name for mark, name in MARKS if raw.startswith(mark)), "utf-8")
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as exc:
        line = raw[: exc.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text", hint="save it as UTF-8") from exc


def register() -> None:
    """Make the folders known to Hydra."""
    for plugin in (OptionsSource, RecipesSource, ShippedRecipes):
        Plugins.instance().register(plugin)
