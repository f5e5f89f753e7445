"""Own downloads of a dataset's files at a pinned commit of the hub. Read no row.

Run against an HTTP server on the loopback that speaks the hub's protocol
(tests/integration/test_data_hub.py); not against the hub itself. Data files are fetched as they
are; a dataset that is a script is refused: code from the hub is never run.
"""

from __future__ import annotations

import os
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from webslm.basics.errors import ConfigError, EnvironmentMismatch, StageFailed, WebslmError
from webslm.basics.fs import link_or_copy, temporary_dir
from webslm.basics.keys import text_digest
from webslm.schema import HubRowsConf

KINDS = tuple(
    kind + packed
    for kind in (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
    for packed in ("", ".gz", ".bz2", ".xz")
)
NOT_ROWS = ("dataset_infos.json", "dataset_info.json", "state.json")


def fetch(hub: HubRowsConf, cache: Path) -> Path:
    """Return a folder with the chosen data files of the commit, downloaded once.

    Raises:
        ConfigError: No such dataset, commit or file.
        EnvironmentMismatch: The hub cannot be reached or refuses access.
        StageFailed: The hub answers with another commit, or a name leads out of the folder.
    """
    name, commit = hub.id or "", hub.revision or ""
    chosen = text_digest(f"{name}@{commit}:{hub.files}")[:16]
    folder = cache / f"rows-{chosen}"
    if folder.is_dir():
        return folder
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    from httpx2 import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    # False, not None: None would also take a token that a login left on the disk.
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=os.environ.get("HF_TOKEN") or False)
    try:
        info = api.dataset_info(name, revision=commit)
        files = choose([item.rfilename for item in info.siblings or []], hub)
        if info.sha != commit:
            raise StageFailed(f"data: the hub answers {name}@{commit} with commit {info.sha}")
        got = _download(api, name, commit, cache, files)
    except (OSError, HTTPError, HFValidationError) as exc:
        raise _translate(exc, name, commit) from exc
    cache.mkdir(parents=True, exist_ok=True)
    with temporary_dir(cache, "rows") as draft:
        for index, file in enumerate(files):
            # Flat and numbered: two folders of the repository may hold the same name.
            flat = f"{index:05d}-{PurePosixPath(file).name}"
            link_or_copy((got / file).resolve(), draft / "files" / flat)
        (draft / "files").rename(folder)
    return folder


def choose(names: list[str], hub: HubRowsConf) -> list[str]:
    """Return the data files that ``data.hub.files`` chooses, sorted.

    Raises:
        ConfigError: None is left.
        StageFailed: A name leads out of the repository's folder.
    """
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name:
            raise StageFailed(f"data: the hub names a file outside the dataset: {name!r}")
    kinds = [
        name
        for name in sorted(names)
        if name.lower().endswith(KINDS) and PurePosixPath(name).name not in NOT_ROWS
    ]
    kept = [name for name in kinds if fnmatch(name, hub.files)]
    if not kept:
        has = ", ".join(kinds[:5]) or "none (a script alone is never run)"
        raise ConfigError(
            f"data.hub.files: no file of {hub.id} fits {hub.files!r}",
            hint=f"its data files: {has}",
        )
    return kept


def _download(api: Any, name: str, commit: str, cache: Path, files: list[str]) -> Path:
    return Path(
        api.snapshot_download(
            name,
            repo_type="dataset",
            revision=commit,
            cache_dir=cache,
            # A name is no pattern: its brackets stand for themselves.
            allow_patterns=[file.replace("[", "[[]") for file in files],
        )
    )


def _translate(exc: Exception, name: str, commit: str) -> WebslmError:
    """Return the one sentence for what huggingface_hub raised; never its request headers."""
    from huggingface_hub import errors

    if isinstance(exc, errors.GatedRepoError):
        return EnvironmentMismatch(
            f"data: {name} is gated and this account has no access",
            hint="accept its terms on its page, then set HF_TOKEN to a read token",
        )
    if isinstance(exc, errors.RevisionNotFoundError):
        return ConfigError(
            f"data.hub.revision: {name} has no commit {commit}",
            hint="copy the 40 hex digits from its history page",
        )
    if isinstance(exc, errors.RepositoryNotFoundError | errors.HFValidationError):
        return ConfigError(
            f"data.hub.id: there is no dataset {name}, or it is private",
            hint="check the spelling; for a private one set HF_TOKEN",
        )
    if isinstance(exc, errors.HfHubHTTPError):
        why = f"answers with status {exc.response.status_code}"
    else:
        why = f"cannot be reached ({type(exc).__name__})"
    return EnvironmentMismatch(
        f"data: the hub {why} for {name}",
        hint="check the network, HF_ENDPOINT and HF_HUB_OFFLINE, or take data.path=FILE",
    )
