"""Own publishing to a branch that a git host serves as pages: one commit, whole or not at all."""

from __future__ import annotations

import re
from pathlib import Path

from webslm.basics.errors import EnvironmentMismatch, PublishError, ToolFailed
from webslm.basics.fs import temporary_dir
from webslm.publish import git
from webslm.publish.delivered import MANIFEST, Delivered, Published
from webslm.schema import History, PublishConf

NO_JEKYLL = ".nojekyll"
"""Tells the host to serve the files as they are."""
DOMAIN = "CNAME"
"""A host's own file on the branch: the site's domain."""
CAUSES = (
    (
        r"could not read Username|Authentication failed|Permission denied|terminal prompts disabled"
        r"|could not read Password|403",
        "the repository refuses this account",
        "set up git's credentials for it (a credential helper or an ssh key) and try again",
    ),
    (
        r"not found|does not appear to be a git repository|does not exist|No such file",
        "there is no such repository",
        "check publish.remote",
    ),
    (
        r"Could not resolve host|unable to access|Connection|timed out|no end after",
        "the repository cannot be reached",
        "check the network and try again",
    ),
    (
        r"stale info|fetch first|non-fast-forward|rejected|cannot lock ref",
        "the branch moved meanwhile, or its host refuses the push",
        "run the same command again; a protected branch must allow this account",
    ),
    (
        r"exceeds .*file size limit|pack exceeds|file size limit",
        "the host refuses a file for its size",
        "publish=pages builds for host=git_pages; or choose a smaller base",
    ),
)
"""What git says, in words: pattern, cause, remedy. The first that matches counts."""


def check(conf: PublishConf, name: str) -> None:  # noqa: ARG001  one signature for all targets
    """Refuse a repository that cannot be read.

    Raises:
        EnvironmentMismatch: git is absent, or the repository is or refuses.
    """
    git.find()
    try:
        git.head_of(str(conf.remote), conf.branch)
    except ToolFailed as exc:
        cause, hint = _cause(exc)
        raise EnvironmentMismatch(f"publish.remote: {conf.remote}: {cause}", hint=hint) from exc


def preview(conf: PublishConf, site: Delivered) -> list[str]:
    """Return what would happen."""
    count, total = len(site.files) + 2, sum(entry["bytes"] for entry in site.files.values())
    how = "as its only commit" if conf.history is History.orphan else "as one more commit"
    return [f"{count} files, {total} bytes, to branch {conf.branch} of {conf.remote} {how}"]


def put(conf: PublishConf, site: Delivered) -> Published:
    """Commit the site and push it; the branch moves at once or stays where it is.

    Raises:
        PublishError: The repository refuses, or the commit does not hold the site's bytes.
    """
    try:
        with temporary_dir(site.output, "publish") as work:
            return _push(conf, site, work)
    except ToolFailed as exc:
        cause, hint = _cause(exc)
        raise PublishError(f"publish: {conf.remote}: {cause}", hint=hint) from exc


def _push(conf: PublishConf, site: Delivered, work: Path) -> Published:
    remote = str(conf.remote)
    repository = git.Workspace(work / "git", remote)
    seen = git.head_of(remote, conf.branch)
    if seen is not None:
        repository.fetch(seen, conf.branch)
    repository.add(site.bundle)
    empty = work / NO_JEKYLL
    empty.touch()
    repository.add_file(NO_JEKYLL, empty)
    before = {} if seen is None else repository.files(seen)
    if DOMAIN in before:
        repository.add_blob(DOMAIN, before[DOMAIN].ident)
    tree = repository.write_tree()
    files = repository.files(tree)
    _check_files(site, {name: blob.size for name, blob in files.items()})
    unchanged = seen is not None and repository.tree_of(seen) == tree
    commit = seen if unchanged else None
    if commit is None:
        parent = seen if conf.history is History.keep else None
        commit = repository.commit(tree, f"Publish {site.name}", parent)
        repository.push(commit, conf.branch, seen)
    return Published(
        target="pages",
        place=f"{remote} {conf.branch}",
        commit=commit,
        url=conf.url,
        files=len(files),
        bytes=sum(blob.size for blob in files.values()),
        unchanged=unchanged,
    )


def _check_files(site: Delivered, sizes: dict[str, int]) -> None:
    wanted = {name: entry["bytes"] for name, entry in site.files.items()}
    found = {n: s for n, s in sizes.items() if n not in (NO_JEKYLL, DOMAIN, MANIFEST)}
    if found != wanted:
        odd = sorted(set(found.items()) ^ set(wanted.items()))[0][0]
        raise PublishError(
            f"publish: git would not carry {odd} as it is",
            hint="look for filters in git's configuration: git config --list",
        )


def _cause(error: ToolFailed) -> tuple[str, str]:
    text = f"{error.message}\n{error.tail}"
    for pattern, cause, hint in CAUSES:
        if re.search(pattern, text):
            return cause, hint
    return f"git failed: {error.message}", "try the same with git by hand"
