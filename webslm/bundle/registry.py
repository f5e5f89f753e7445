"""Own the way to npm's registry: where npm's own settings say it lies, and one archive from there.

Read as npm reads them, without npm: ``npm_config_*`` variables, then ``.npmrc`` of the folder, of
the user and of the machine. What lets one in there is sent to that registry and shown nowhere.
"""

from __future__ import annotations

import os
import re
import shutil
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx2

TRIES = 3
PAUSE_S = 1.0
TIMEOUT_S = 60.0
SETTINGS = ".npmrc"
PREFIX = "npm_config_"
SERVER_ERROR = 500
LETS_IN = {"_authToken": "Bearer", "_auth": "Basic"}
"""A setting's name, after the registry's address, and the scheme of HTTP that it means."""
UNSET = ("", "null", "false", "undefined")
PUBLIC = ("https://registry", "npmjs", "org")
"""Labels of the registry that npm asks when no setting names one."""


class NotFetched(Exception):
    """The registry gave no archive; the text says why."""


def download(name: str, version: str, target: Path) -> None:
    """Write a package's archive to ``target``; what came is not checked.

    Args:
        name: The package, with its scope: ``@mlc-ai/web-llm``.
        version: An exact one.
        target: A new file.

    Raises:
        NotFetched: The registry refuses, or is not reached in three tries.
    """

    def write(answer: httpx2.Response) -> None:
        with target.open("wb") as file:
            for part in answer.iter_bytes():
                file.write(part)

    _ask("GET", name, version, write)


def check(name: str, version: str) -> None:
    """Ask whether a package's archive is to be had.

    Raises:
        NotFetched: It is not.
    """
    _ask("HEAD", name, version, lambda _: None)


def archive_url(name: str, version: str, settings: Mapping[str, str]) -> str:
    """Return where a registry keeps an archive."""
    scope, _, plain = name.rpartition("/")
    default = settings.get("registry") or ".".join(PUBLIC)
    root = settings.get(f"{scope}:registry", default).rstrip("/")
    return f"{root}/{name}/-/{plain}-{version}.tgz"


def read_settings() -> dict[str, str]:
    """Return npm's settings of this process: what stands nearer wins."""
    environment = {
        key.lower().removeprefix(PREFIX).replace("_", "-"): value
        for key, value in os.environ.items()
        if key.lower().startswith(PREFIX) and value not in UNSET
    }
    node = shutil.which("node")
    machine = Path(node).parents[1] / "etc" / "npmrc" if node else None
    files = (
        environment.get("globalconfig", machine),
        environment.get("userconfig", Path("~").expanduser() / SETTINGS),
        SETTINGS,
    )
    settings: dict[str, str] = {}
    for file in files:
        if file is not None:
            settings |= _read(Path(file))
    return settings | environment


def _read(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return {}
    pairs = (line.partition("=") for line in lines if not line.lstrip().startswith(("#", ";")))
    values = {key.strip(): _value(value) for key, equals, value in pairs if equals}
    return {key: value for key, value in values.items() if value not in UNSET}


def _value(text: str) -> str:
    """Return a value without its quotes, with ``${NAME}`` from the environment."""
    plain = text.strip().strip("\"'")
    return re.sub(r"\$\{(\w+)\}", lambda name: os.environ.get(name[1], name[0]), plain)


def _ask(method: str, name: str, version: str, take: Callable[[httpx2.Response], None]) -> None:
    """Ask the registry; a connection that broke and a registry that fails are asked again."""
    import httpx2

    settings = read_settings()
    url = archive_url(name, version, settings)
    for tries_left in reversed(range(TRIES)):
        try:
            with (
                httpx2.Client(**_client_options(url, settings)) as client,
                client.stream(method, url) as answer,
            ):
                answer.raise_for_status()
                take(answer)
                return
        except httpx2.HTTPStatusError as exc:
            if exc.response.status_code < SERVER_ERROR or not tries_left:
                raise NotFetched(f"status {exc.response.status_code}") from exc
        except httpx2.TransportError as exc:
            if not tries_left or isinstance(exc, httpx2.UnsupportedProtocol):
                raise NotFetched(str(exc) or type(exc).__name__) from exc
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as exc:
            raise NotFetched(str(exc) or type(exc).__name__) from exc
        time.sleep(PAUSE_S * (TRIES - tries_left))


def _client_options(url: str, settings: Mapping[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = {"follow_redirects": True, "timeout": TIMEOUT_S}
    if "cafile" in settings:
        try:
            options["verify"] = ssl.create_default_context(cafile=settings["cafile"])
        except OSError as exc:
            raise NotFetched(f"npm's setting cafile: {exc.strerror}") from exc
    if proxy := settings.get("https-proxy") or settings.get("proxy"):
        options["proxy"] = proxy
    where = f"//{urlsplit(url).netloc}{urlsplit(url).path}"
    for key, secret in settings.items():
        place, _, kind = key.rpartition(":")
        if kind in LETS_IN and place and where.startswith(f"{place.rstrip('/')}/"):
            options["headers"] = {"Authorization": f"{LETS_IN[kind]} {secret}"}
    return options
