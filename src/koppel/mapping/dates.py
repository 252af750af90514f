"""Patterns of dates and times, such as ``dd-MM-yyyy`` or ``M/d/yyyy h:mm tt``: from text to a moment and back."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

import msgspec

from koppel.errors import MappingError

_TOKENS = re.compile(r"yyyy|yy|MM?|dd?|HH?|hh?|mm?|ss?|tt|'[^']*'|[^A-Za-z']|(?P<unknown>.)")
_PIVOT = 50
"""Years of two digits below it are of this century, the others of the last one."""


class _Part(msgspec.Struct, frozen=True):
    """A part of a pattern: what it takes (and, lenient, what people write), and how it is written."""

    name: str
    takes: str
    leniently: str
    write: Callable[[datetime], str]


_PARTS = {
    part.name: part
    for part in (
        _Part("yyyy", "[0-9]{4}", "[0-9]{4}", lambda when: f"{when.year:04}"),
        _Part("yy", "[0-9]{2}", "[0-9]{2}", lambda when: f"{when.year % 100:02}"),
        _Part("MM", "[0-9]{2}", "[0-9]{1,2}", lambda when: f"{when.month:02}"),
        _Part("M", "[0-9]{1,2}", "[0-9]{1,2}", lambda when: str(when.month)),
        _Part("dd", "[0-9]{2}", "[0-9]{1,2}", lambda when: f"{when.day:02}"),
        _Part("d", "[0-9]{1,2}", "[0-9]{1,2}", lambda when: str(when.day)),
        _Part("HH", "[0-9]{2}", "[0-9]{1,2}", lambda when: f"{when.hour:02}"),
        _Part("H", "[0-9]{1,2}", "[0-9]{1,2}", lambda when: str(when.hour)),
        _Part("hh", "[0-9]{2}", "[0-9]{1,2}", lambda when: f"{(when.hour + 11) % 12 + 1:02}"),
        _Part("h", "[0-9]{1,2}", "[0-9]{1,2}", lambda when: str((when.hour + 11) % 12 + 1)),
        _Part("mm", "[0-9]{2}", "[0-9]{1,2}", lambda when: f"{when.minute:02}"),
        _Part("m", "[0-9]{1,2}", "[0-9]{1,2}", lambda when: str(when.minute)),
        _Part("ss", "[0-9]{2}", "[0-9]{1,2}", lambda when: f"{when.second:02}"),
        _Part("s", "[0-9]{1,2}", "[0-9]{1,2}", lambda when: str(when.second)),
        _Part("tt", "AM|PM", "AM|PM", lambda when: "PM" if when.hour >= 12 else "AM"),
    )
}


class Pattern(msgspec.Struct, frozen=True):
    """A pattern that was understood. ``letters``: of its parts, each once."""

    text: str
    tokens: tuple[str, ...]
    reader: re.Pattern[str]

    @property
    def letters(self) -> frozenset[str]:
        """What it tells: ``y``, ``M``, ``d``, ``H``, ``h``, ``m``, ``s``, ``t``; ``y`` only with the century."""
        return frozenset(token[0] for token in self.tokens if token in _PARTS and token != "yy")

    def tells_date(self) -> bool:
        """Whether nothing of a date is lost in it."""
        return self.letters >= set("yMd")

    def tells_moment(self) -> bool:
        """Whether nothing of a moment, in whole seconds, is lost in it."""
        return self.letters >= set("yMdms") and ("H" in self.letters or self.letters >= set("ht"))

    def parse(self, text: str) -> datetime:
        """The moment that a text says. ``ValueError`` when it is not written like this, or there is no such day."""
        found = self.reader.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"is not written like {self.text}")
        said = {name: value for name, value in found.groupdict().items() if value}
        try:
            return datetime(*_moment(said))
        except ValueError:
            raise ValueError("is no day or time that there is") from None

    def format(self, when: datetime) -> str:
        """The moment as the pattern writes it."""
        return "".join(_PARTS[token].write(when) if token in _PARTS else token.strip("'") for token in self.tokens)


def _moment(said: dict[str, str]) -> tuple[int, int, int, int, int, int]:
    number = {name: int(value) for name, value in said.items() if name != "t"}
    year = number["y"] if len(said["y"]) == 4 else number["y"] + (2000 if number["y"] < _PIVOT else 1900)
    hour = number.get("H", 0)
    if "h" in number:
        if not 1 <= number["h"] <= 12:
            raise ValueError
        hour = number["h"] % 12 + (12 if said["t"].upper() == "PM" else 0)
    return year, number.get("M", 1), number.get("d", 1), hour, number.get("m", 0), number.get("s", 0)


def read_pattern(text: str, *, lenient: bool = False) -> Pattern:
    """Understand a pattern; ``MappingError`` where it cannot be. ``lenient``: one digit will do where it says two."""
    tokens: list[str] = []
    for found in _TOKENS.finditer(text):
        if found["unknown"]:
            remedy = "Known: yyyy, yy, MM, M, dd, d, HH, H, hh, h, mm, m, ss, s, tt; put other letters in quotes: 'T'."
            raise MappingError(f"`{text}` cannot be read at `{found['unknown']}`", remedy=remedy)
        tokens.append(found[0])
    letters = [token[0] for token in tokens if token in _PARTS]
    if len(set(letters)) < len(letters):
        raise MappingError(f"`{text}` says a part twice", remedy="Say year, month, day and so on once each.")
    if "y" not in letters:
        raise MappingError(f"`{text}` has no year", remedy="Begin with a pattern such as dd-MM-yyyy.")
    if ("h" in letters) != ("t" in letters) or {"h", "H"} <= set(letters):
        raise MappingError(f"`{text}` has hours of half a day", remedy="Write h with tt, or H alone.")
    return Pattern(text, tuple(tokens), re.compile("".join(_piece(token, lenient) for token in tokens), re.IGNORECASE))


def _piece(token: str, lenient: bool) -> str:
    part = _PARTS.get(token)
    if part is None:
        return re.escape(token.strip("'"))
    return f"(?P<{token[0]}>{part.leniently if lenient else part.takes})"
