"""Own how a site's files are named and delivered: the hashed folder, the worker, the app manifest.

A browser may keep any file for as long as it likes. Whatever changes between builds therefore
lies under a name made of its content; the few names that must stay the same (the page, the
service worker, the app's manifest) only point there.
"""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webslm.basics import fs
from webslm.basics.keys import file_digest
from webslm.bundle.http_rules import HEADERS, PAGE_POLICY

REVISION_DIGITS = 16
MANIFEST = "manifest.json"
WEB_MANIFEST = "app.webmanifest"
WORKER = "sw.js"
CONFIG = "webslm.json"
MODULE = "webslm.js"
"""What other pages import: here a pointer, in the hashed folder the module itself."""
RECORDS = "model-record.json"
THEME = "#1c5fb8"
SHORT_NAME = 12
ICONS = (("192", "any", 192), ("512", "any", 512), ("maskable", "maskable", 512))


def seal(out: Path, draft: Path, *, title: str, disclaimer: str) -> str:
    """Give the page's files their names; write what points at them.

    Args:
        out: The site's folder.
        draft: Folder inside ``out`` with the page's own modules, styles, facts and ``webslm.json``;
            it also holds the templates of the page and of the service worker. ``RECORDS`` must lie
            in ``out`` already.
        title: The page's title.
        disclaimer: Shown on the page at all times.

    Returns:
        The folder of the page's own files, relative to ``out``, with a slash at its end.
    """
    page = _take(draft / "index.html")
    worker = _take(draft / WORKER)
    app = f"app/{folder_digest(draft)}/"
    (out / "app").mkdir(exist_ok=True)
    draft.rename(out / app)
    words = {"APP": app, "POLICY": PAGE_POLICY, "TITLE": title, "DISCLAIMER": disclaimer}
    for word, text in words.items():
        page = page.replace(f"%%{word}%%", html.escape(text))
    fs.write_text(out / "index.html", page)
    fs.write_text(out / WEB_MANIFEST, _web_manifest(title, app))
    # At this address for tools and for people; the page reads the copy of its own build.
    fs.write_text(out / CONFIG, (out / app / CONFIG).read_text(encoding="utf-8"))
    fs.write_text(out / MODULE, f'export * from "./{app}{MODULE}";\n')
    fs.write_text(out / WORKER, _build_line(out, app) + worker)
    return app


def write_manifest(out: Path, app: str) -> dict[str, Any]:
    """Write ``manifest.json``: size and sha256 of every other file, by path; return the files."""
    files = {path.relative_to(out).as_posix(): entry(path) for path in fs.tree_files(out)}
    text = json.dumps({"schema": 1, "app": app, "files": files}, indent=1, sort_keys=True)
    fs.write_text(out / MANIFEST, text + "\n")
    return files


def folder_digest(folder: Path) -> str:
    """Return the first digits of a digest of all files in a folder and their names."""
    return revision({p.relative_to(folder).as_posix(): p for p in fs.tree_files(folder)})


def revision(files: Mapping[str, Path]) -> str:
    """Return the first digits of a digest of named files; their order does not count."""
    lines = (f"{name} {file_digest(files[name])}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:REVISION_DIGITS]


def entry(path: Path) -> dict[str, Any]:
    """Return a file's size in bytes and its sha256."""
    return {"bytes": path.stat().st_size, "sha256": file_digest(path)}


def _take(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    path.unlink()
    return text


def _build_line(out: Path, app: str) -> str:
    """Return what the service worker must know of this build: files, digests, headers."""
    fixed = [out / name for name in ("index.html", WEB_MANIFEST, MODULE, RECORDS)]
    kept = [*fixed, *fs.tree_files(out / app)]
    files = {path.relative_to(out).as_posix(): entry(path) for path in kept}
    ident = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    build = {"id": ident[:REVISION_DIGITS], "files": files, "headers": HEADERS}
    return f"const BUILD = {json.dumps(build, sort_keys=True)};\n"


def _web_manifest(title: str, app: str) -> str:
    icons = [
        {
            "src": f"{app}icons/{name}.png",
            "sizes": f"{size}x{size}",
            "type": "image/png",
            "purpose": purpose,
        }
        for name, purpose, size in ICONS
    ]
    manifest = {
        "name": title,
        "short_name": title if len(title) <= SHORT_NAME else title.split()[0][:SHORT_NAME],
        "id": "./",
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": "#f6f7f9",
        "theme_color": THEME,
        "icons": icons,
    }
    return json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
