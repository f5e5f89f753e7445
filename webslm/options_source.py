"""Own how the user's options (recipes, domains, ...) are read from their YAML files.

Hydra takes UTF-8 without a mark at its start, which some editors and shells do not write.
"""

from __future__ import annotations

import codecs
import io
import os
from pathlib import Path

# A plugin is a class of a module; nothing but composing imports this one.
from hydra._internal.core_plugins.file_config_source import FileConfigSource  # noqa: TID253
from hydra.core.plugins import Plugins  # noqa: TID253
from hydra.plugins.config_source import ConfigLoadError, ConfigResult  # noqa: TID253
from omegaconf import OmegaConf

from webslm.errors import ConfigError
from webslm.paths import SCHEME

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class OptionsSource(FileConfigSource):
    """A folder of YAML files in UTF-8 or UTF-16, marked or not, whatever ends their lines."""

    @staticmethod
    def scheme() -> str:
        """Return how its folders are named."""
        return SCHEME

    def load_config(self, config_path: str) -> ConfigResult:
        """Return an option's configuration and its header (``# @package``)."""
        path = Path(os.path.realpath(Path(self.path) / self._normalize_file_name(config_path)))
        if not path.is_file():
            raise ConfigLoadError(f"Config not found : {path}")
        text = read_option(path)
        file = io.StringIO(text)
        # What PyYAML puts before the line of a mistake.
        file.name = str(path)
        return ConfigResult(
            config=OmegaConf.load(file),
            path=f"{SCHEME}://{self.path}",
            provider=self.provider,
            header=self._get_header_dict(text[:512]),
        )


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
    Plugins.instance().register(OptionsSource)
