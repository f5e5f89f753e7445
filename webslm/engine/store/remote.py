"""Own the shared store: artifacts as tar files below a URL that fsspec can open.

A team or CI names one (``cache.remote`` or ``WEBSLM_REMOTE``): what one machine has built, the
others fetch instead of building. Every byte that comes in is checked against its manifest; a remote
that fails is a warning, never the end of a build.
"""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

from webslm.basics.errors import CacheCorrupt, ConfigError
from webslm.engine.store.archive import pack, unpack
from webslm.engine.store.artifacts import Artifact, Cache

VARIABLE = "WEBSLM_REMOTE"
log = logging.getLogger(__name__)


class Remote:
    """One shared store.

    Layout: ``<url>/<stage>/<key>.tar``, each written under another name and moved into place where
    the protocol can move.
    """

    def __init__(self, url: str, *, push: bool = True) -> None:
        """Open ``url``: a folder, ``file://``, ``s3://``, ``sftp://`` and whatever fsspec knows.

        Raises:
            ConfigError: fsspec does not know the protocol or lacks its package.
        """
        from fsspec.core import url_to_fs

        try:
            self._fs, self._root = url_to_fs(url)
        except (ValueError, ImportError) as exc:
            raise ConfigError(
                f"cache.remote: {url!r} cannot be opened: {exc}",
                hint="a folder, file://, or a protocol whose fsspec package is installed "
                "(s3fs for s3://, sshfs for ssh://)",
            ) from exc
        self.url = url
        self._push = push

    def fetch(self, cache: Cache, stage: str, key: str) -> Artifact | None:
        """Bring an artifact into ``cache``; None when the remote has none that is whole."""
        name = self._name(stage, key)
        try:
            if not self._fs.exists(name):
                return None
            with self._fs.open(name, "rb") as file:
                taken = unpack(cache, file, name, only=(stage, key))
        except CacheCorrupt as exc:
            log.warning("remote store: %s: built here instead", exc.message)
            return None
        except Exception as exc:  # noqa: BLE001  every protocol of fsspec raises its own kinds
            log.warning("remote store %s: %s: built here instead", self.url, exc)
            return None
        return taken[0] if taken else None

    def size(self, stage: str, key: str) -> int | None:
        """Return how many bytes a fetch would bring; None when the remote has none or fails."""
        name = self._name(stage, key)
        try:
            return int(self._fs.size(name) or 0) if self._fs.exists(name) else None
        except Exception as exc:  # noqa: BLE001  every protocol of fsspec raises its own kinds
            log.warning("remote store %s: %s", self.url, exc)
            return None

    def push(self, artifact: Artifact) -> bool:
        """Offer an artifact to the others; return whether the remote has it now."""
        if not self._push:
            return False
        name = self._name(artifact.stage, artifact.key)
        try:
            if self._fs.exists(name):
                return True
            self._fs.makedirs(f"{self._root}/{artifact.stage}", exist_ok=True)
            with tempfile.TemporaryDirectory() as folder:
                packed = Path(folder) / "artifact.tar"
                with packed.open("wb") as file:
                    pack([artifact], file)
                waiting = f"{name}.{os.getpid()}.part"
                self._fs.put_file(str(packed), waiting)
                self._fs.mv(waiting, name)
        except Exception as exc:  # noqa: BLE001  every protocol of fsspec raises its own kinds
            log.warning("remote store %s: %s: not shared", self.url, exc)
            return False
        return True

    def _name(self, stage: str, key: str) -> str:
        return f"{self._root}/{stage}/{key}.tar"


def open_remote(configured: str | None, *, push: bool = True) -> Remote | None:
    """Return the shared store that the configuration or the environment names, if any.

    Raises:
        ConfigError: It cannot be opened.
    """
    url = configured or os.environ.get(VARIABLE)
    return Remote(url, push=push) if url else None
