"""Own the patterns of personal data in rows. They flag for a person to look; they prove nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"(?<![\w.])(?:\+|00)?\(?\d(?:[ ()./-]{0,2}\d){7,14}(?![\w])")
_AMERICAN = re.compile(r"(?:1[ .-])?\d{3}[ .-]\d{3}[ .-]\d{4}")
_SSN = re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])")
_CARD = re.compile(r"(?<![\d])\d(?:[ -]?\d){12,18}(?![\d])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")


def personal_data(text: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, what stands there with its middle hidden) for everything that looks personal.

    A number is told once, as the most exact kind that fits.
    """
    taken: list[tuple[int, int]] = []
    for kind, pattern, is_valid in KINDS:
        for match in pattern.finditer(text):
            start, end = match.span()
            if any(start < e and s < end for s, e in taken) or not is_valid(match.group()):
                continue
            taken.append((start, end))
            yield kind, hidden(match.group())


def hidden(text: str) -> str:
    """Return a text that can be found again but not used: two characters at either end."""
    return f"{text[:2]}...{text[-2:]}"


def _is_card(text: str) -> bool:
    """Return whether the Luhn check digit (ISO/IEC 7812-1) is right."""
    digits = [int(char) for char in text if char.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    """Return whether the check digits (ISO 13616, remainder modulo 97) are right."""
    plain = text.replace(" ", "")
    moved = plain[4:] + plain[:4]
    return int("".join(str(int(char, 36)) for char in moved)) % 97 == 1


def _is_phone(text: str) -> bool:
    # A bare run of digits is more often a quantity or a year range than a telephone.
    return text.startswith(("+", "0", "(")) or bool(_AMERICAN.fullmatch(text))


def _always(_: str) -> bool:
    return True


KINDS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("e-mail address", _EMAIL, _always),
    ("bank account (IBAN)", _IBAN, _is_iban),
    ("payment card number", _CARD, _is_card),
    ("US social security number", _SSN, _always),
    ("telephone number", _PHONE, _is_phone),
)
