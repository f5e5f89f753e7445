"""Own what is wrong with a wish to publish, as far as words alone tell. Touch nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from webslm.basics.errors import Problem
from webslm.schema import Config, PublishConf, Target

BEFORE_THE_SITE = "bundle"
BRANCH = re.compile(r"(?!/|-)(?!.*(?:\.\.|//|@\{|\.lock(?:/|$)))[A-Za-z0-9._/-]+(?<![/.])")
REPO = re.compile(r"(?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]{0,95}")


def problems(cfg: Config) -> Iterator[Problem]:
    """Yield what of ``cfg.publish`` cannot be, each with what to type instead."""
    if cfg.publish.target is Target.none:
        return
    yield from target_problems(cfg.publish)
    for key, stage in (("until", cfg.until), ("only", cfg.only)):
        if stage is not None and stage not in ("bundle", "verify"):
            yield f"publish: {key}={stage} ends before there is a site", f"drop {key}="


def target_problems(conf: PublishConf) -> Iterator[Problem]:
    """Yield what one target cannot do."""
    if conf.target in (Target.folder, Target.release) and not (conf.path or "").strip():
        yield f"publish.path: {conf.target.value} needs a folder", "publish.path=FOLDER"
    if conf.target is Target.pages:
        yield from _pages(conf)
    if conf.repo is not None and not REPO.fullmatch(conf.repo):
        yield (
            f"publish.repo: {conf.repo!r} is not NAMESPACE/NAME",
            "such as publish.repo=me/medical",
        )
    if conf.max_archive_bytes is not None and conf.max_archive_bytes <= 0:
        yield (
            f"publish.max_archive_bytes: {conf.max_archive_bytes} is not above 0",
            "null: no limit",
        )
    if not 0 <= conf.wait_s < float("inf"):
        yield f"publish.wait_s: {conf.wait_s} is no time to wait", "0 or more seconds"
    if conf.url is not None and urlsplit(conf.url).scheme not in ("http", "https"):
        yield f"publish.url: {conf.url!r} is not an address of the web", "https://..."


def _pages(conf: PublishConf) -> Iterator[Problem]:
    remote = conf.remote or ""
    if not remote.strip() or remote.startswith("-"):
        yield "publish.remote: pages needs a repository", "publish.remote=git@HOST:OWNER/NAME.git"
    elif "://" in remote and urlsplit(remote).password is not None:
        # Never repeated: the value would reach the screen and the lock.
        yield (
            "publish.remote: holds a password, which would reach the lock",
            "leave it out and let git's credential helper or an ssh key answer",
        )
    if not BRANCH.fullmatch(conf.branch):
        yield f"publish.branch: {conf.branch!r} is no name of a branch", "publish.branch=gh-pages"
