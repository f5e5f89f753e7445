"""Own the patterns of personal data in rows. They flag for a person to look; they prove nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

Match = re.Match[str]
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_SSN = re.compile(r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])")
_CARD = re.compile(
    r"(?<![\d.,-])\d{4}(?:[ -]?\d{4}){3}(?![\d])|(?<![\d.,-])\d{4}[ -]?\d{6}[ -]?\d{5}(?!\d)"
)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_ISSUERS = re.compile(r"4|5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)|3[47]|35|6(?:011|22|4[4-9]|5)")
"""First digits of Visa, Mastercard, American Express, JCB, Discover and UnionPay."""
_PHONE = re.compile(
    r"(?<![A-Za-z0-9_.+])(?<!\d[-/,:])"
    r"(?:\+|00(?=[ .-]?[1-9]))?\(?\d(?:\)? ?[./-]? ?\(?\d){6,16}\)?(?![A-Za-z0-9_%])(?![-/.]\d)"
)
_FORMS = re.compile(
    # +44 20 7946 0958
    r"(?:\+|00(?=[ .-]?\d{1,4}[ .()/-])[ .-]?)[1-9](?:[ ()./-]{0,3}\d){7,14}"
    # (555) 123-4567
    r"|\(\d{2,5}\)[ .-]?\d{2,5}(?:[ .-]?\d{2,5}){1,4}"
    # 780-800-7092, 1-800-555-0100
    r"|(?:1[ .-])?\(?[2-9]\d\d\)?([ .-])\d{3}\1\d{4}"
    # 07885 577 899, 0711 / 123456
    r"|0[1-9]\d{0,3}(?: ?[/-] ?| )\d{2,8}(?:[ -]\d{2,5}){0,4}"
)
_CALLED = re.compile(
    r"(?:\b(?:call|phone|tel|telephone|mobile|cell|fax|whatsapp|dial|sms|contact|hotline|ring|"
    r"telefon|handy|anruf|tél|téléphone|teléfono|móvil|celular|telefono|telefone)\b"
    r"|电话|手机|電話|тел)[^\d\n+(]{0,20}$",
    re.IGNORECASE,
)
"""What stands before a telephone number that has no other sign of being one."""
_SUM_BEFORE = re.compile(r"[=*^\u00d7\u00f7<>\u2248]\s*$|[\d)]\s*[-+/]\s*$|[-+/\u2212]\s+$")
_SUM_AFTER = re.compile(r"\s*[=*^\u00d7\u00f7\u2248]|\s*\+\s*\(?\d|\s+[-/\u2212]\s")
_DATES = re.compile(
    r"\(?(?:\d{4}([-/. ])\d{1,2}\1\d{1,2}|\d{1,2}([-/. ])\d{1,2}\2\d{4}|\d{4} ?[-/] ?\d{4})\)?"
)
_YEARS = re.compile(r"(?:19|20)\d\d ?[-/] ?(?:19|20)\d\d\)?$")
_LENGTHS = range(7, 16)
"""Digits of a telephone number (ITU-T E.164: at most 15)."""
NATIONAL = 11
"""Most digits of a national number with its leading zero."""
BARE = 9
"""Digits from which a national number is one without a word that says so."""


def personal_data(text: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, what stands there with its middle hidden) for everything that looks personal.

    A number is told once, as the most exact kind that fits.
    """
    taken: list[tuple[int, int]] = []
    for kind, pattern, is_valid in KINDS:
        for match in pattern.finditer(text):
            start, end = match.span()
            if any(start < e and s < end for s, e in taken) or not is_valid(match):
                continue
            taken.append((start, end))
            yield kind, hidden(match.group())


def hidden(text: str) -> str:
    """Return a text that can be found again but not used: two characters at either end."""
    return f"{text[:2]}...{text[-2:]}"


def _is_card(match: Match) -> bool:
    """Return whether an issuer's first digits and the Luhn check digit (ISO/IEC 7812-1) fit."""
    digits = [int(char) for char in match.group() if char.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    whole = (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
    return whole and bool(_ISSUERS.match(match.group())) and not _in_a_sum(match)


def _is_iban(match: Match) -> bool:
    """Return whether the check digits (ISO 13616, remainder modulo 97) are right."""
    plain = match.group().replace(" ", "")
    moved = plain[4:] + plain[:4]
    return int("".join(str(int(char, 36)) for char in moved)) % 97 == 1


def _is_phone(match: Match) -> bool:
    """Return whether digits have a telephone number's form, or a word before them says so."""
    found = match.group()
    digits = [char for char in found if char.isdigit()]
    # Binary numbers, dates and fractions have the same digits and separators.
    if len(digits) not in _LENGTHS or len(set(digits)) < 3 or _DATES.fullmatch(found):
        return False
    if re.fullmatch(r"\d+\.\d+", found) or _YEARS.search(found) or _in_a_sum(match):
        return False
    if found.startswith("0") and not found.startswith("00") and len(digits) > NATIONAL:
        return False
    if _CALLED.search(match.string[max(0, match.start() - 40) : match.start()]):
        return True
    return len(digits) >= BARE and _FORMS.fullmatch(found) is not None


def _in_a_sum(match: Match) -> bool:
    """Return whether a number stands beside an operator of arithmetic."""
    before = match.string[max(0, match.start() - 4) : match.start()]
    # A plus sign after a number adds; before one it opens a country code.
    if match.group().startswith("+") and re.search(r"[\d)]\s*$", before):
        return True
    return bool(_SUM_BEFORE.search(before) or _SUM_AFTER.match(match.string, match.end()))


def _always(_: Match) -> bool:
    return True


KINDS: tuple[tuple[str, re.Pattern[str], Callable[[Match], bool]], ...] = (
    ("e-mail address", _EMAIL, _always),
    ("bank account (IBAN)", _IBAN, _is_iban),
    ("payment card number", _CARD, _is_card),
    ("US social security number", _SSN, _always),
    ("telephone number", _PHONE, _is_phone),
)
