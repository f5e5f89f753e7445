"""Own downloads of a pinned checkpoint from the Hugging Face hub. Convert nothing.

What was run: every path below against an HTTP server on the loopback that answers what
huggingface_hub 2.4 asks for (tests/integration/test_base_hub.py). What was not run: the real
hub, its redirects to a storage network and the Xet protocol; Xet is switched off, so that files
come by plain HTTP. The access token comes from the environment (HF_TOKEN) only and
never enters a configuration, a key or a message.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.basics import model_files
from webslm.basics.errors import ConfigError, EnvironmentMismatch, StageFailed, WebslmError
from webslm.basics.hub_names import COMMIT, REPOSITORY
from webslm.hub import cache as hub_cache
from webslm.schema import HubConf

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True, kw_only=True)
class Download:
    """A fetched checkpoint."""

    licence: str | None
    """What the repository's card says; None: nothing."""
    files: dict[str, str]
    """File name to sha256."""


def check(hub: HubConf) -> tuple[str, str]:
    """Return (id, commit) of a configuration that pins a checkpoint.

    Raises:
        ConfigError: No id, or a revision that floats.
    """
    if not hub.id or not REPOSITORY.fullmatch(hub.id):
        raise ConfigError(
            f"base.hub.id: {hub.id!r} is not a repository", hint="write base.hub.id=owner/name"
        )
    if not hub.revision or not COMMIT.fullmatch(hub.revision):
        raise ConfigError(
            f"base.hub.revision: {hub.revision!r} can move",
            hint="write the full commit (40 hexadecimal digits) from the model's history page",
        )
    return hub.id, hub.revision


def fetch(hub: HubConf, *, cache: Path, folder: Path) -> Download:
    """Fetch the pinned checkpoint through ``cache`` into ``folder``.

    Raises:
        ConfigError: The configuration does not pin one, or it has no safetensors weights.
        EnvironmentMismatch: The hub cannot be reached or refuses access.
        StageFailed: A file is not what the hub announces.
    """
    name, commit = check(hub)
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    from httpx2 import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    # False, not None: None would also take a token that a login left on the disk.
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=os.environ.get("HF_TOKEN") or False)
    if hub_cache.is_offline():
        kept = hub_cache.find(name, commit, cache)
        return Download(licence=None, files=hub_cache.take(kept, folder, name))
    try:
        info = api.model_info(name, revision=commit, files_metadata=True)
        announced = {s.rfilename: s for s in info.siblings or []}
        _check_listing(name, commit, info.sha, announced)
        snapshot = _snapshot(api, name, commit, cache, sorted(announced))
    except (OSError, HTTPError, HFValidationError) as exc:
        raise _translate(exc, name, commit) from exc
    files = hub_cache.take(snapshot, folder, name)
    for file, digest in files.items():
        expected = getattr(announced[file].lfs, "sha256", None)
        if expected and digest != expected:
            raise StageFailed(
                f"base: {file} of {name} is not what the hub announces",
                hint=f"remove {cache} and build again",
            )
    return Download(licence=_licence(info), files=files)


def why_unreachable(hub: HubConf, cache: Path, *, seconds: float) -> str | None:
    """Return why the pinned checkpoint cannot be had from the hub now; None: it can.

    Args:
        hub: What is pinned.
        cache: Where fetched checkpoints are kept.
        seconds: How long the hub may take to answer.
    """
    name, commit = check(hub)
    from httpx2 import HTTPError
    from huggingface_hub import HfApi

    try:
        hub_cache.find(name, commit, cache)
        return None
    except EnvironmentMismatch:
        if hub_cache.is_offline():
            return "HF_HUB_OFFLINE is set"
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=os.environ.get("HF_TOKEN") or False)
    try:
        api.model_info(name, revision=commit, timeout=seconds)
    except (OSError, HTTPError) as exc:
        told = _translate(exc, name, commit)
        unanswered = isinstance(told, EnvironmentMismatch) and not hasattr(exc, "response")
        if unanswered:
            return f"the hub does not answer ({type(exc).__name__})"
        return told.message.removeprefix("base: ")
    return None


def _check_listing(name: str, commit: str, found: str | None, announced: dict[str, Any]) -> None:
    if found != commit:
        raise StageFailed(f"base: the hub answers {name}@{commit} with commit {found}")
    for needed in model_files.NEEDED:
        if needed not in announced:
            raise ConfigError(f"base.hub.id: {name} has no {needed}")
    if not any("/" not in file and file.endswith(model_files.WEIGHTS_SUFFIX) for file in announced):
        raise ConfigError(
            f"base.hub.id: {name} has no safetensors weights",
            hint="take a commit or repository that has; pickled weights are never loaded",
        )


def _snapshot(api: HfApi, name: str, commit: str, cache: Path, announced: list[str]) -> Path:
    wanted = hub_cache.wanted_files(announced)
    return Path(
        api.snapshot_download(name, revision=commit, cache_dir=cache, allow_patterns=wanted)
    )


def _translate(exc: Exception, name: str, commit: str) -> WebslmError:
    """Return the one sentence for what huggingface_hub raised; never its request headers."""
    from huggingface_hub import errors

    if isinstance(exc, errors.HFValidationError):
        return ConfigError(
            f"base.hub.id: {name!r} is not a repository", hint="write base.hub.id=owner/name"
        )
    if isinstance(exc, errors.GatedRepoError):
        return EnvironmentMismatch(
            f"base: {name} is gated and this account has no access",
            hint="accept its terms on the model's page, then set HF_TOKEN to a read token",
        )
    if isinstance(exc, errors.RevisionNotFoundError):
        return ConfigError(f"base.hub.revision: {name} has no commit {commit}")
    if isinstance(exc, errors.RepositoryNotFoundError):
        return ConfigError(
            f"base.hub.id: {name} does not exist or is private",
            hint="check the spelling; for a private one set HF_TOKEN",
        )
    if isinstance(exc, errors.HfHubHTTPError):
        return EnvironmentMismatch(
            f"base: the hub answers {name} with status {exc.response.status_code}",
            hint="try again later",
        )
    return EnvironmentMismatch(
        f"base: the hub cannot be reached for {name}: {type(exc).__name__}",
        hint="check the network or HF_ENDPOINT, or take base=tiny, which needs no hub",
    )


def _licence(info: Any) -> str | None:
    card = info.card_data
    licence = getattr(card, "license", None)
    if licence == "other":
        licence = getattr(card, "license_name", None) or licence
    return licence if isinstance(licence, str) else None
