"""Own a page's words where nobody chose a domain: a starter set's, or neutral ones for own rows.

``conf/domain/auto.yaml`` asks for every key with ``${texts:KEY}``; what a user writes there instead
(``domain.title=``) wins, as with every option.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from webslm.basics.paths import conf_dir
from webslm.schema import Config

STARTER = "medical"
"""The domain of a build for which nobody said anything."""
FOLLOWS = "${domain.train_path}"
"""What ``data.path`` is where it names the domain's own rows."""
ASKED = "${texts:train_path}"
DISCLAIMER = "Made by a small model: answers can be wrong."
SHIPPED = "shipped:"


def text(key: str, raw: Mapping[str, Any], name: str, group_names: tuple[str, str]) -> Any:
    """Return the value of ``domain.KEY``.

    Args:
        key: A field of ``DomainConf``.
        raw: The configuration as composed, references unresolved: ``data`` and ``domain``.
        name: The build's name; asked for the title only.
        group_names: Names of base and weight format, which a name by default ends with.
    """
    if not is_own(raw):
        return starter()[key]
    if key == "name":
        return _plain_name(_stem(raw))
    if key == "title":
        by_default = "-".join((_plain_name(_stem(raw)), *group_names))
        return _as_title(_stem(raw) if name.startswith(by_default) else name)
    return {"disclaimer": DISCLAIMER}.get(key)


def is_own(raw: Mapping[str, Any]) -> bool:
    """Return whether rows are the user's: a file, a folder or a dataset of the hub."""
    data, domain = raw["data"], raw["domain"]
    return data["hub"]["id"] is not None or data["path"] != FOLLOWS or domain["train_path"] != ASKED


def whose_texts(cfg: Config) -> str | None:
    """Return the line that says whose words a page gets; None: those of the rows' own domain."""
    domain = cfg.domain
    if domain.train_path is None:
        questions = "" if domain.questions is not None else ", questions from the rows"
        return (
            f"page texts: neutral, as the rows are your own: title {domain.title!r}{questions}; "
            "domain.title=, domain.disclaimer= and domain.questions= say others"
        )
    own = cfg.data.hub.id is not None or cfg.data.path != domain.train_path
    if own and domain.train_path.startswith(SHIPPED):
        return (
            f"page texts: title, disclaimer and questions are those of domain={domain.name}, as "
            "chosen; without that choice they are neutral and come from your rows"
        )
    return None


@cache
def starter() -> dict[str, Any]:
    """Return the starter domain's values."""
    import yaml

    file = conf_dir() / "domain" / f"{STARTER}.yaml"
    found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return found


def _stem(raw: Mapping[str, Any]) -> str:
    """Return what the rows' file, folder or dataset is called."""
    data, domain = raw["data"], raw["domain"]
    path = domain["train_path"] if data["path"] == FOLLOWS else data["path"]
    source = re.sub(r"\$\{[^}]*\}", "", str(data["hub"]["id"] or path or ""))
    return Path(source).stem or Path(source).resolve().name


def _plain_name(stem: str) -> str:
    """Return a name in Latin letters, as far as that goes."""
    letters = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", letters).strip("-._")[:40] or "own"


def _as_title(name: str) -> str:
    # A file's name may be bytes of no text.
    text = name.encode("utf-8", "ignore").decode()
    words = re.sub(r"[-_.]+", " ", text).strip()
    return words[:1].upper() + words[1:]
