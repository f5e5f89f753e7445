"""Own publishing to the hub: which files a model repository gets, and its card."""

from __future__ import annotations

from pathlib import Path

from webslm.basics.fs import temporary_dir, write_text
from webslm.engine.lock.file import LOCK_NAME
from webslm.hub import card as hub_card
from webslm.hub import upload as hub_upload
from webslm.publish.card import library_name, metadata, model_card, results
from webslm.publish.delivered import Delivered, Published
from webslm.schema import PublishConf

README = "README.md"


def check(conf: PublishConf, name: str) -> None:
    """Ask the hub whose token this is and whether it may write there.

    Raises:
        WebslmError: It may not, or the hub cannot be asked.
    """
    hub_upload.check_rights(conf.repo or name)


def preview(conf: PublishConf, site: Delivered) -> list[str]:
    """Return what would happen; the card is made and checked, the hub not asked."""
    repo = conf.repo or site.name
    with temporary_dir(site.output, "publish") as work:
        files = _files(site, f"{hub_upload.endpoint()}/{repo}/resolve/main/", work)
        sizes = {name: path.stat().st_size for name, path in sorted(files.items())}
    seen = "private" if conf.private else "open"
    head = f"{len(sizes)} files, {sum(sizes.values())} bytes, to {seen} model repository {repo}"
    return [head, *(f"{size:>12} {name}" for name, size in sizes.items())]


def put(conf: PublishConf, site: Delivered) -> Published:
    """Send the model in one commit.

    Raises:
        WebslmError: Why not; the repository then is as it was.
    """
    repo = hub_upload.check_rights(conf.repo or site.name)
    address = f"{hub_upload.endpoint()}/{repo}/resolve/main/"
    with temporary_dir(site.output, "publish") as work:
        files = _files(site, address, work)
        done = hub_upload.upload(
            repo,
            files,
            private=conf.private,
            message=f"Publish {site.name}",
        )
        total = sum(path.stat().st_size for path in files.values())
    return Published(
        target="hub",
        place=repo,
        commit=done.commit,
        # A browser has no token: a private repository has no address for it.
        url=None if done.private else address.replace("/main/", f"/{done.commit}/"),
        files=len(files),
        bytes=total,
        unchanged=done.unchanged,
    )


def _files(site: Delivered, address: str, work: Path) -> dict[str, Path]:
    """Return the repository's files by name; card and lock are written to ``work``."""
    model = site.bundle / str(site.page["model"]["url"])
    files = {path.name: path for path in sorted(model.iterdir())}
    files[library_name(site)] = site.bundle / str(site.page["model"]["lib"])
    body = model_card(site, address)
    dataset = f"rows of {site.lock['config']['domain']['name']}"
    write_text(work / README, hub_card.render(metadata(site), results(site), body, dataset=dataset))
    write_text(work / LOCK_NAME, site.lock_text())
    return {**files, README: work / README, LOCK_NAME: work / LOCK_NAME}
