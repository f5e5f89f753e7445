"""Own calls of git: one commit made of a folder, and its push. Decide nothing about sites.

Nothing of the user's own configuration may change a byte: no filters, ignore rules, line ends or
hooks. Credentials stay in git's helpers; it is never let ask on a terminal.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from webslm.basics import proc
from webslm.basics.errors import EnvironmentMismatch, ToolFailed

TIMEOUT_S = 1800.0
ASK_TIMEOUT_S = 60.0
RAW = (
    *("-c", "core.autocrlf=false"),
    *("-c", f"core.attributesFile={os.devnull}"),
    *("-c", f"core.excludesFile={os.devnull}"),
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "gc.auto=0"),
    # Weights hardly get smaller; trying hard costs minutes.
    *("-c", "core.compression=1"),
)
FILE_MODE = "100644"


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A file in a commit."""

    ident: str
    size: int


def find() -> str:
    """Return git's path.

    Raises:
        EnvironmentMismatch: There is none.
    """
    found = shutil.which("git")
    if found is None:
        raise EnvironmentMismatch(
            "git not found: needed to push pages", hint="install git (Debian: apt-get install git)"
        )
    return found


def head_of(remote: str, branch: str) -> str | None:
    """Return the commit that a remote's branch points to, None where there is no such branch.

    Raises:
        ToolFailed: The remote cannot be read.
    """
    lines = _git(["ls-remote", "--", remote, f"refs/heads/{branch}"], timeout=ASK_TIMEOUT_S)
    for line in lines.splitlines():
        ident, _, name = line.partition("\t")
        if name == f"refs/heads/{branch}":
            return ident
    return None


class Workspace:
    """A repository of its own for one commit; it lies in a folder that the caller removes."""

    def __init__(self, folder: Path, remote: str) -> None:
        self._folder = folder
        self._remote = remote
        folder.mkdir(parents=True)
        _git(["init", "--quiet", "--bare", folder])

    def fetch(self, commit: str, branch: str) -> None:
        """Bring a branch's last commit, without the history before it."""
        self._run("fetch", "--quiet", "--depth=1", "--", self._remote, f"refs/heads/{branch}")
        self._run("cat-file", "-e", f"{commit}^{{commit}}")

    def add(self, tree: Path) -> None:
        """Put every file below ``tree`` into the next commit as it is."""
        self._run("-C", tree, f"--work-tree={tree}", "add", "--force", "--all", "--", ".")

    def add_file(self, name: str, source: Path) -> None:
        """Put one more file into the next commit."""
        ident = self._run("hash-object", "-w", "--no-filters", "--", str(source)).strip()
        self.add_blob(name, ident)

    def add_blob(self, name: str, ident: str) -> None:
        """Put a known blob into the next commit."""
        self._run("update-index", "--add", "--cacheinfo", f"{FILE_MODE},{ident},{name}")

    def write_tree(self) -> str:
        """Return the id of the next commit's tree."""
        return self._run("write-tree").strip()

    def tree_of(self, commit: str) -> str:
        """Return the id of a commit's tree."""
        return self._run("rev-parse", f"{commit}^{{tree}}").strip()

    def files(self, tree: str) -> dict[str, Blob]:
        """Return the files of a commit or tree by path."""
        found = {}
        for line in self._run("ls-tree", "-r", "-z", "--long", tree).split("\0"):
            if line:
                facts, _, name = line.partition("\t")
                _, _, ident, size = facts.split()
                found[name] = Blob(ident=ident, size=int(size))
        return found

    def commit(self, tree: str, message: str, parent: str | None) -> str:
        """Return the id of a new commit."""
        words = ["commit-tree", "--no-gpg-sign", "-m", message, tree]
        if parent is not None:
            words[1:1] = ["-p", parent]
        return self._run(*words, env=_identity()).strip()

    def push(self, commit: str, branch: str, expected: str | None) -> None:
        """Move the remote's branch to a commit, only if it still is where it was seen.

        Raises:
            ToolFailed: The remote refuses it.
        """
        name = f"refs/heads/{branch}"
        lease = f"--force-with-lease={name}:{expected or ''}"
        self._run("push", "--quiet", lease, "--", self._remote, f"{commit}:{name}")

    def _run(self, *words: str | Path, env: Mapping[str, str] | None = None) -> str:
        return _git([f"--git-dir={self._folder}", *words], env=env)


def _git(
    words: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT_S,
) -> str:
    # What a surrounding hook or test set must not point git at another repository.
    kept = {
        key: value
        for key, value in os.environ.items()
        if key not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY")
    }
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_ATTR_NOSYSTEM": "1", "LC_ALL": "C"}
    ssh = {} if "GIT_SSH_COMMAND" in kept else {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}
    return proc.run(
        [find(), *RAW, *words], env={**kept, **quiet, **ssh, **(env or {})}, timeout=timeout
    )


def _identity() -> dict[str, str]:
    """Return who commits where git has not been told: its own error would name no remedy."""
    found = {}
    for key, variable, fallback in (
        ("user.name", "NAME", "webslm"),
        ("user.email", "EMAIL", "webslm@localhost"),
    ):
        try:
            known = _git(["config", "--get", key]).strip()
        except ToolFailed:
            known = ""
        for role in ("AUTHOR", "COMMITTER"):
            name = f"GIT_{role}_{variable}"
            found[name] = os.environ.get(name) or known or fallback
    return found
