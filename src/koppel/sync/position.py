"""How far the reading of one side has got, and by what it is told that the system went back behind that.

A restored backup does not say that it is one. It shows in three ways: another environment answers, records that
were the newest seen come with an older time, or a record comes with a lower version than the one recorded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from heapq import nlargest

import msgspec

from koppel.odata.literals import comparable_instant
from koppel.odata.records import Record

REMEMBERED = 10
"""How many of the newest records are looked for again."""

_NUMBERED = re.compile(r'W/"(\d+)"')


class Position(msgspec.Struct, frozen=True, omit_defaults=True):
    """``at``: a delta link or the newest ISO time seen. ``newest``: ids of records modified last, where reading goes by
    time. ``environment``: which one answered. ``watched``: by table, how far its reading has got, with ``seen``: marks
    of the rows that come again. ``day``: the work date, where it matters."""

    at: str = ""
    newest: tuple[str, ...] = ()
    environment: str = ""
    watched: dict[str, Position] = {}
    seen: tuple[str, ...] = ()
    day: str = ""


def stored(position: Position) -> str:
    """A position as the database keeps it."""
    return msgspec.json.encode(position).decode()


def position_of(text: str) -> Position:
    """A stored position."""
    return msgspec.json.decode(text, type=Position) if text else Position()


def instant(text: str) -> str:
    """A time in a form that sorts; empty for none."""
    return comparable_instant(text) if text else ""


def newest_of(known: Iterable[tuple[str, str]], records: Iterable[Record]) -> list[tuple[str, str]]:
    """(time, id) of the newest among those known and these records, the newest first."""
    found = ((instant(record.modified_at), record.id) for record in records)
    return nlargest(REMEMBERED, {*known, *found})


def went_back(recorded: str, record: Record, behind: str = "") -> bool:
    """Whether a record is older than it was when its version was recorded: its version is lower, where versions are
    numbers; or it is another one, but not for an edit since the time ``behind`` which the system went back."""
    then, now = _NUMBERED.fullmatch(recorded), _NUMBERED.fullmatch(record.version)
    if then and now:
        return int(now[1]) < int(then[1])
    return bool(behind and recorded) and record.version != recorded and instant(record.modified_at) <= behind
