"""Own uploads to the Hugging Face hub: who may, and one commit that is whole or not at all.

What was run: every path below against a server on the loopback that speaks what huggingface_hub 2.4
asks for (tests/hub_server.py). What was not run: the real hub. Xet is switched off, so that large
files go by the LFS protocol, where what arrived once is not sent again. The token comes from
HF_TOKEN only and never enters a configuration, a lock or a message.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.basics import model_files
from webslm.basics.errors import ConfigError, EnvironmentMismatch, PublishError, WebslmError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MARK = "webslm.lock.json"
"""What tells a repository that webslm filled."""
GIVEN = (".gitattributes", "README.md")
"""What a fresh repository may hold."""
OURS = (
    *("params_shard_*.bin", "library-*.wasm", "mlc-*.json", model_files.TOKENIZER),
    *(model_files.TENSOR_INDEX, model_files.OLD_TENSOR_INDEX),
)
"""Files of an earlier build that the next one takes away where it has none of that name."""
WRITING_ROLES = ("admin", "write", "contributor")


@dataclass(frozen=True, kw_only=True)
class Uploaded:
    """What a repository holds now."""

    repo: str
    commit: str
    private: bool
    unchanged: bool


def endpoint() -> str:
    """Return the hub's address: HF_ENDPOINT, else the library's own."""
    from huggingface_hub import constants

    return os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")


def check_rights(repo: str) -> str:
    """Return the whole name of a repository that the token may write.

    Args:
        repo: NAMESPACE/NAME, or NAME below the token's own account.

    Raises:
        ConfigError: The name cannot be, or lies below an account that is not the token's.
        EnvironmentMismatch: There is no token, or it may not write, or no hub.
    """
    with _told("publish"):
        api = _api()
        answer = api.whoami()
        user = str(answer.get("name"))
        namespace, _, name = repo.rpartition("/")
        namespace = namespace or user
        _check_name(f"{namespace}/{name}")
        orgs = {str(org.get("name")): org.get("roleInOrg") for org in answer.get("orgs") or []}
        if namespace != user and namespace not in orgs:
            raise ConfigError(
                f"publish.repo: the token's account {user} is not a member of {namespace}",
                hint=f"one of {', '.join([user, *sorted(orgs)])}",
            )
        role = orgs.get(namespace)
        if namespace != user and role is not None and role not in WRITING_ROLES:
            raise EnvironmentMismatch(
                f"publish.repo: {user} may only read in {namespace}", hint="ask its admin"
            )
        access = (answer.get("auth") or {}).get("accessToken") or {}
        if not _may_write(access, namespace, name):
            raise EnvironmentMismatch(
                f"publish: the token in HF_TOKEN may not write to {namespace}",
                hint="make a token with the right to write there and set HF_TOKEN to it",
            )
    return f"{namespace}/{name}"


def upload(repo: str, files: Mapping[str, Path], *, private: bool, message: str) -> Uploaded:
    """Put files into a repository in one commit and check what it holds then.

    A repository is made private and opened, if it is to be, only after the commit: nobody ever
    sees a part of a model.

    Args:
        repo: NAMESPACE/NAME.
        files: Local files by their name in the repository.
        private: Whether the repository is to stay private.
        message: The commit's message.

    Raises:
        WebslmError: Why it was not put there; a commit is then whole or absent.
    """
    with _told(repo):
        api = _api()
        info = _repository(api, repo, private=private)
        present = {sibling.rfilename for sibling in info.siblings or []}
        if MARK not in present and (foreign := sorted(present - set(GIVEN))):
            raise PublishError(
                f"publish.repo: {repo} holds {foreign[0]}, which webslm did not put there",
                hint="name another repository: publish.repo=NAMESPACE/NAME",
            )
        commit = _commit(api, repo, files, present, info.sha, message)
        _check_holds(api, repo, commit, files)
        if not private and info.private:
            api.update_repo_settings(repo, private=False)
    return Uploaded(
        repo=repo,
        commit=commit,
        private=private,
        unchanged=commit == info.sha,
    )


def _api() -> HfApi:
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    token = os.environ.get("HF_TOKEN")
    if not token:
        raise EnvironmentMismatch(
            "publish: HF_TOKEN is not set",
            hint="set it to a token that may write; a login on the disk is not used",
        )
    from huggingface_hub import HfApi, constants
    from huggingface_hub.utils.tqdm import disable_progress_bars

    # Training libraries may have loaded it, with its defaults, long before.
    constants.HF_HUB_DISABLE_XET = os.environ["HF_HUB_DISABLE_XET"] == "1"
    disable_progress_bars()
    # Its warnings about retries hold whole addresses; a failure is told in one sentence.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    return HfApi(endpoint=endpoint(), token=token)


def _repository(api: HfApi, repo: str, *, private: bool) -> Any:
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        info = api.model_info(repo)
    except RepositoryNotFoundError:
        api.create_repo(repo, private=True, exist_ok=True)
        return api.model_info(repo)
    if private and not info.private:
        raise PublishError(
            f"publish.repo: {repo} is open to everybody",
            hint="publish.private=false says that this is meant",
        )
    return info


def _commit(
    api: HfApi,
    repo: str,
    files: Mapping[str, Path],
    present: set[str],
    parent: str,
    message: str,
) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    stale = sorted(
        name for name in present - set(files) if any(fnmatch(name, pattern) for pattern in OURS)
    )
    done = api.create_commit(
        repo,
        operations=[
            *(CommitOperationAdd(name, str(path)) for name, path in sorted(files.items())),
            *(CommitOperationDelete(name) for name in stale),
        ],
        commit_message=message,
        # Another publisher's commit in between must not be buried under this one.
        parent_commit=parent,
    )
    return str(done.oid)


def _check_holds(api: HfApi, repo: str, commit: str, files: Mapping[str, Path]) -> None:
    info = api.model_info(repo, revision=commit, files_metadata=True)
    sizes = {sibling.rfilename: sibling.size for sibling in info.siblings or []}
    wrong = [name for name, path in files.items() if sizes.get(name) != path.stat().st_size]
    if wrong:
        raise PublishError(
            f"publish: {repo} at {commit[:12]} does not hold {wrong[0]} as it was sent",
            hint="run the same command again",
        )


def _may_write(access: Mapping[str, Any], namespace: str, name: str) -> bool:
    role = access.get("role")
    if role != "fineGrained":
        return role != "read"
    scopes = (access.get("fineGrained") or {}).get("scoped") or []
    entities = (namespace, f"{namespace}/{name}")
    return any(
        (scope.get("entity") or {}).get("name") in entities
        and "repo.write" in (scope.get("permissions") or [])
        for scope in scopes
    )


def _check_name(repo: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as exc:
        raise ConfigError(
            f"publish.repo: {repo!r} is no name of a repository",
            hint="letters, digits, '-', '_' and '.', neither doubled nor at an end",
        ) from exc


@contextmanager
def _told(repo: str) -> Iterator[None]:
    """Turn what the library raises into one sentence; never its headers, which hold the token."""
    from httpx2 import HTTPError
    from huggingface_hub import errors

    try:
        yield
    except errors.HfHubHTTPError as exc:
        raise _refusal(exc, repo) from exc
    except errors.OfflineModeIsEnabled as exc:
        raise EnvironmentMismatch(
            "publish: HF_HUB_OFFLINE is set", hint="unset it and run the same command again"
        ) from exc
    except (OSError, HTTPError, RuntimeError) as exc:
        # The library wraps what one of its upload threads met.
        if isinstance(exc.__cause__, errors.HfHubHTTPError):
            raise _refusal(exc.__cause__, repo) from exc
        raise PublishError(
            f"publish: the connection to the hub broke ({type(exc).__name__})",
            hint="run the same command again: what arrived is not sent twice",
        ) from exc
    except ValueError as exc:
        raise PublishError(
            f"publish: the hub refuses {repo}: {(str(exc).splitlines() or [''])[0]}"
        ) from exc


def _refusal(error: Any, repo: str) -> WebslmError:
    code = error.response.status_code
    said = (error.server_message or "").splitlines()
    told = f": {said[0]}" if said else ""
    if code == 401:
        return EnvironmentMismatch(
            "publish: the hub refuses the token in HF_TOKEN", hint="make a new one"
        )
    if code == 403:
        return PublishError(
            f"publish: the hub does not let this token write to {repo}{told}",
            hint="check the token's rights",
        )
    if code in (409, 412):
        return PublishError(
            f"publish: {repo} changed while this build was being sent",
            hint="run the same command again",
        )
    return PublishError(
        f"publish: the hub answers {repo} with status {code}{told}",
        hint="run the same command again: what arrived is not sent twice",
    )
