"""Own texts that were decoded as another encoding than they were written in."""

from __future__ import annotations

import re
from collections.abc import Iterator

REPLACED = "\ufffd"
_HIGH = "".join(map(chr, range(0x80, 0x100)))
_FROM_CP1252 = bytes(range(0x80, 0x100)).decode("cp1252", "ignore")
# First bytes of UTF-8 for Latin, Greek, Cyrillic, punctuation and emoji, as Latin-1 shows them.
_LEADS = "".join(map(chr, (0xC2, 0xC3, 0xC4, 0xC5, 0xCE, 0xCF, 0xD0, 0xD1, 0xE2, 0xF0)))
_SUSPECT = re.compile(f"[{_LEADS}][{re.escape(_HIGH + _FROM_CP1252)}]+")


def mojibake(text: str) -> Iterator[str]:
    """Yield what in a text is UTF-8 that was read as Windows-1252 or Latin-1, or was lost."""
    for found in _SUSPECT.finditer(text):
        meant = _meant(found.group())
        if meant is not None:
            yield f"{found.group()} for {meant}"
    if REPLACED in text:
        yield REPLACED


def _meant(text: str) -> str | None:
    """Return what the start of a run of characters says as UTF-8, or None."""
    raw = b"".join(_byte(char) for char in text)
    for length in range(2, len(raw) + 1):
        try:
            return raw[:length].decode("utf-8")
        except UnicodeDecodeError:
            continue
    return None


def _byte(char: str) -> bytes:
    try:
        return char.encode("cp1252")
    except UnicodeEncodeError:
        # What Windows-1252 leaves free, readers take as Latin-1 does.
        return char.encode("latin-1", "replace")
