"""Own publishing as a whole: asked before the build, done after it, looked at from outside.

It comes last and only reads the output folder, so whatever happens here the build stays delivered.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from webslm.basics.errors import PublishError, StageFailed
from webslm.basics.faults import explained
from webslm.basics.screen import Screen
from webslm.bundle import hosting
from webslm.publish import folder, hub, pages, release
from webslm.publish.delivered import MANIFEST, Delivered, Published, read_delivered, record
from webslm.publish.probe import Finding, probe_model, probe_site
from webslm.schema import HostConf, PublishConf, Target


class Way(Protocol):
    """A module that puts a build somewhere."""

    def check(self, conf: PublishConf, name: str) -> None:
        """Refuse what cannot work, before any work."""

    def preview(self, conf: PublishConf, site: Delivered) -> list[str]:
        """Return what would happen."""

    def put(self, conf: PublishConf, site: Delivered) -> Published:
        """Do it, whole or not at all."""


WAYS: dict[Target, Way] = {
    Target.folder: folder,
    Target.pages: pages,
    Target.hub: hub,
    Target.release: release,
}


def check(conf: PublishConf, name: str) -> None:
    """Ask before the build what would stop its publication after it: rights, places, tools.

    Raises:
        ConfigError: The place cannot be.
        EnvironmentMismatch: A tool, a token or a right is missing.
    """
    if conf.target is not Target.none and not conf.dry_run:
        WAYS[conf.target].check(conf, name)


def publish(conf: PublishConf, host: HostConf, output: Path, console: Screen) -> Published | None:
    """Put a delivered build where ``conf`` says, write that down and probe it.

    Args:
        conf: Where to.
        host: Limits of the place.
        output: The build's output folder.
        console: Where it is told.

    Raises:
        PublishError: It could not be published, or a browser could not use it there.
        WebslmError: A tool, a token or a right is missing; nothing was published.
    """
    if conf.target is Target.none:
        return None
    site = read_delivered(output, unproven=conf.unproven)
    manifest = {"bytes": (site.bundle / MANIFEST).stat().st_size}
    if refused := hosting.too_large(host, {**site.files, MANIFEST: manifest}):
        raise PublishError(
            f"publish: {refused}", hint="build for that host: publish=pages brings host=git_pages"
        )
    if conf.dry_run:
        for line in WAYS[conf.target].preview(conf, site):
            _say(console, f"would publish {line}")
        return None
    try:
        published = WAYS[conf.target].put(conf, site)
    except (OSError, StageFailed) as exc:
        raise PublishError(
            f"publish: {explained(exc, places=(output,)).message}",
            hint="the build is whole; once that is mended: python -m webslm publish "
            f"{shlex.quote(str(output))} publish={conf.name}",
        ) from exc
    record(site, published)
    _tell(console, published)
    _judge(console, _probe(site, published, conf.wait_s))
    return published


def _probe(site: Delivered, published: Published, wait_s: float) -> Sequence[Finding]:
    if published.url is None:
        return ()
    if published.target != Target.hub.value:
        return probe_site(published.url, site.files, wait_s)
    model = site.page["model"]
    files = {entry["path"]: entry for entry in model["files"]}
    return probe_model(
        published.url, {**files, str(model["lib"]).rpartition("/")[2]: model["library"]}
    )


def _tell(console: Screen, published: Published) -> None:
    done = "already there" if published.unchanged else "published"
    at = f" at commit {published.commit[:12]}" if published.commit else ""
    _say(
        console, f"{done}  {published.place}{at}: {published.files} files, {published.bytes} bytes"
    )
    if published.target == Target.release.value:
        _say(
            console,
            "warning    release assets carry no CORS headers: offer the archive for download, "
            "never as an address for a page",
        )
    elif published.target == Target.hub.value and published.url is None:
        _say(console, "note       private: no browser can load it (publish.private=false opens it)")
    elif published.url is None:
        _say(console, "note       publish.url=ADDRESS looks at it there like a browser")


def _judge(console: Screen, findings: Sequence[Finding]) -> None:
    for finding in findings:
        _say(console, f"{'wrong' if finding.fatal else 'note ':<10} {finding.text}")
    fatal = [finding.text for finding in findings if finding.fatal]
    if fatal:
        raise PublishError(
            f"publish: it lies there, but a browser cannot use it: {fatal[0]}",
            hint="mend the host's settings; docs/publishing.md says what each line means",
        )


def _say(console: Screen, line: str) -> None:
    console.print(line, soft_wrap=True)
