"""Own the account of what reading did to records: nothing of it happens without being counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from webslm.rows.messages import Seen

KEPT_EXAMPLES = 5
STORED = 100
SHOWN = 12
"""Keys told by name."""


@dataclass
class Changes:
    """What was read, and what became of it."""

    read: int = 0
    """Records of all files."""
    shapes: Counter[str] = field(default_factory=Counter)
    """Records by shape."""
    system: Counter[str] = field(default_factory=Counter)
    """Rows whose system prompt ``data.system`` added or replaced."""
    unread: Counter[str] = field(default_factory=Counter)
    """Records by key that was not looked at."""
    line_ends: int = 0
    r"""Records in whose texts \r\n or \r was read as \n."""
    unlearnt: int = 0
    """Assistant turns that carry no loss because the record says so."""
    files: list[str] = field(default_factory=list)
    """Files of a folder that were not read."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Rows left out, by reason."""
    examples: dict[str, list[str]] = field(default_factory=dict)
    """The first rows left out for each reason, each with its place."""

    def leave_out(self, reason: str, told: str) -> None:
        """Count a row that is not used."""
        self.left_out[reason] += 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < KEPT_EXAMPLES:
            examples.append(told)

    def notice(self, seen: Seen) -> None:
        """Count what reading a good record noticed."""
        self.unread.update(seen.unread)
        self.line_ends += seen.line_ends

    def told(self) -> str:
        """Return the keys that were not read, with how many records have them."""
        most = self.unread.most_common(SHOWN)
        left = len(self.unread) - len(most)
        more = f" and {left} more" if left else ""
        return "keys not read: " + ", ".join(f"{key} x {n}" for key, n in most) + more

    def notes(self) -> dict[str, Any]:
        """Return what a user should know of the reading, as plain JSON."""
        return {
            "keys_not_read": dict(sorted(self.unread.most_common(STORED))),
            "line_ends_rewritten": self.line_ends,
            "turns_without_loss": self.unlearnt,
            "files_not_read": self.files,
        }
