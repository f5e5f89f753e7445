"""Own the report's section on the rows: what was learnt from, in numbers and samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webslm.report.pictures import bars
from webslm.report.terminal import account_lines, set_rows


def facts(stats: Mapping[str, Any], lengths: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the section shows.

    Args:
        stats: The data stage's ``stats.json``; empty where there is none.
        lengths: The inspect stage's ``inspect.json``; empty where there is none.
    """
    # A store may hold rows of an older webslm.
    known = "records" in stats
    return {
        "rows": stats if known else None,
        "row_numbers": list(set_rows(stats)) if known else [],
        "account": list(account_lines(stats)) if known else [],
        "lengths": lengths or None,
        "histogram": bars(
            [(str(last), count) for _, last, count in lengths["histogram"]],
            x="tokens up to",
            y="rows",
        )
        if lengths
        else "",
    }
