"""Own the checks of ``data`` as a configuration: what can be said before any file is opened."""

from __future__ import annotations

from collections.abc import Iterator

from webslm.basics.encoding import is_whole
from webslm.basics.errors import Problem
from webslm.basics.hub_names import COMMIT, REPOSITORY
from webslm.rows.examination import KINDS
from webslm.rows.hints import columns_hint
from webslm.rows.shapes import COLUMNS
from webslm.schema import DataConf


def problems(data: DataConf) -> Iterator[Problem]:
    """Yield what is wrong with the rules for rows, each with its key and what to type."""
    yield from _hub(data)
    yield from _columns(data)
    if not 0 < data.near_duplicate <= 1:
        yield f"data.near_duplicate: {data.near_duplicate} is no similarity", "above 0 to 1"
    for kind in data.refuse:
        if kind not in KINDS:
            yield f"data.refuse: nothing is called {kind!r}", f"some of {', '.join(KINDS)}"
    if data.system is not None and not data.system.strip():
        yield "data.system: is empty", "data.system=null leaves rows as they are"
    if data.system is not None and not is_whole(data.system):
        yield "data.system: is not UTF-8 text", "type it in a terminal that speaks UTF-8"


def _hub(data: DataConf) -> Iterator[Problem]:
    if data.hub.id is None:
        if data.path is None:
            yield "data.path: is not set", "data.path=FILE, or data.hub.id=OWNER/NAME"
        return
    if not REPOSITORY.fullmatch(data.hub.id):
        yield (
            f"data.hub.id: {data.hub.id!r} is not OWNER/NAME",
            "such as data.hub.id=someone/their-rows",
        )
    if not data.hub.revision or not COMMIT.fullmatch(data.hub.revision):
        yield (
            f"data.hub.revision: {data.hub.revision!r} is not a full commit id",
            "pin the 40 hex digits that the hub shows for the commit; branches float",
        )


def _columns(data: DataConf) -> Iterator[Problem]:
    unknown = [name for name in data.columns if name not in COLUMNS]
    if unknown:
        yield (
            f"data.columns: no part {unknown[0]!r}",
            f"parts are {', '.join(COLUMNS)}: {columns_hint()}",
        )
    elif data.columns and "messages" not in data.columns:
        for part in ("question", "answer"):
            if part not in data.columns:
                yield (
                    f"data.columns: says no column for {part!r}",
                    f"{columns_hint()}, or data.columns.messages=A",
                )
    elif len(data.columns) > 1:
        yield "data.columns: messages holds all parts", "data.columns.messages=A alone"
