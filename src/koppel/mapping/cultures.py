"""How people write numbers, dates and names in a country: the little of it that transformations need."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache

import msgspec

from koppel.document import did_you_mean
from koppel.errors import MappingError

_SPACES = " \u00a0\u202f"
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


class Culture(msgspec.Struct, frozen=True):
    """``decimal``: the decimal separator. ``groups``: every character that may stand between thousands.

    ``date`` and ``time`` are patterns as ``mapping.dates`` reads them.
    """

    decimal: str
    groups: str
    date: str
    time: str = "HH:mm:ss"


CULTURES: dict[str, Culture] = {
    "invariant": Culture(".", ",", "yyyy-MM-dd"),
    "cs-CZ": Culture(",", _SPACES, "dd.MM.yyyy"),
    "da-DK": Culture(",", ".", "dd-MM-yyyy"),
    "de-AT": Culture(",", "." + _SPACES, "dd.MM.yyyy"),
    "de-CH": Culture(".", "’'", "dd.MM.yyyy"),
    "de-DE": Culture(",", ".", "dd.MM.yyyy"),
    "en-AU": Culture(".", ",", "d/MM/yyyy"),
    "en-CA": Culture(".", ",", "yyyy-MM-dd"),
    "en-GB": Culture(".", ",", "dd/MM/yyyy"),
    "en-IE": Culture(".", ",", "dd/MM/yyyy"),
    "en-NZ": Culture(".", ",", "d/MM/yyyy"),
    "en-US": Culture(".", ",", "M/d/yyyy", "h:mm:ss tt"),
    "es-ES": Culture(",", "." + _SPACES, "d/M/yyyy"),
    "es-MX": Culture(".", ",", "dd/MM/yyyy"),
    "fi-FI": Culture(",", _SPACES, "d.M.yyyy"),
    "fr-BE": Culture(",", "." + _SPACES, "d/MM/yyyy"),
    "fr-CA": Culture(",", _SPACES, "yyyy-MM-dd"),
    "fr-FR": Culture(",", _SPACES, "dd/MM/yyyy"),
    "it-IT": Culture(",", ".", "dd/MM/yyyy"),
    "ja-JP": Culture(".", ",", "yyyy/MM/dd"),
    "nb-NO": Culture(",", _SPACES, "dd.MM.yyyy"),
    "nl-BE": Culture(",", ".", "d/MM/yyyy"),
    "nl-NL": Culture(",", ".", "d-M-yyyy"),
    "pl-PL": Culture(",", _SPACES, "dd.MM.yyyy"),
    "pt-BR": Culture(",", ".", "dd/MM/yyyy"),
    "pt-PT": Culture(",", "." + _SPACES, "dd/MM/yyyy"),
    "sv-SE": Culture(",", "." + _SPACES, "yyyy-MM-dd"),
    "tr-TR": Culture(",", ".", "d.MM.yyyy"),
}
"""By name; ``invariant`` is how programs write."""


def culture_named(name: str) -> Culture:
    """The culture; ``MappingError`` when it is none of those known."""
    if name not in CULTURES:
        raise MappingError(f"there is no culture `{name}`", remedy=did_you_mean(name, CULTURES, "Cultures"))
    return CULTURES[name]


def parse_decimal(text: str, culture: Culture) -> int | float:
    """The number that a text says. ``ValueError`` for anything that is not one as a whole.

    A separator has to stand where it belongs: ``1.23`` is no number where the point separates thousands.
    """
    found = _reader(culture).fullmatch(text.strip())
    if found is None:
        raise ValueError("is no number as this culture writes it")
    digits = "".join(filter(str.isdigit, found[2]))
    exact = Decimal(f"{found[1]}{digits}.{found[3] or 0}")
    number = float(exact)
    if Decimal(repr(number)) != exact:
        raise ValueError("has more digits than a number can keep")
    return int(exact) if exact == exact.to_integral_value() and abs(exact) < 2**53 else number


@cache
def _reader(culture: Culture) -> re.Pattern[str]:
    groups, decimal = re.escape(culture.groups), re.escape(culture.decimal)
    whole = rf"[0-9]+|[0-9]{{1,3}}(?:[{groups}][0-9]{{3}})+"
    return re.compile(rf"([+-]?)({whole})(?:{decimal}([0-9]+))?")


def format_decimal(number: float, culture: Culture) -> str:
    """The number in as many digits as it has, without thousands: what ``parse_decimal`` turns back into it."""
    exact = Decimal(repr(number))
    if not exact.is_finite():
        raise ValueError("is no number")
    text = f"{exact:f}"
    plain = text.rstrip("0").rstrip(".") if "." in text else text
    return plain.replace(".", culture.decimal)


def title_case(text: str, language: str) -> str:
    """Every word with a capital; words all in capitals, as abbreviations are, stay."""
    return _WORD.sub(lambda word: word[0] if word[0].isupper() else _capitalized(word[0], language), text)


def _capitalized(word: str, language: str) -> str:
    if language == "tr":
        head = "İ" if word[0] == "i" else word[0].upper()
        return head + word[1:].replace("I", "ı").replace("İ", "i").lower()
    if language == "nl" and word[:2].lower() == "ij":
        return "IJ" + word[2:].lower()
    return word[0].upper() + word[1:].lower()
