"""What a piece of work sends, whatever else this process sends to the same systems meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec


class Tally(msgspec.Struct):
    """Requests by the name of the system, and how many of all of them write. ``told``: how many somebody wrote down."""

    requests: Counter[str] = msgspec.field(default_factory=Counter)
    writes: int = 0
    told: int = 0

    def untold(self) -> int:
        """Requests that nobody wrote down yet."""
        return self.requests.total() - self.told


_OPEN: ContextVar[tuple[Tally, ...]] = ContextVar("tallies", default=())


@contextmanager
def tallied() -> Iterator[Tally]:
    """Counts what is sent within, also by tasks that begin there. What is tallied within counts for both."""
    tally, around = Tally(), _OPEN.get()
    _OPEN.set((*around, tally))
    try:
        yield tally
    finally:
        _OPEN.set(around)  # not by its token: a generator that is given up ends in another context


def sent(system: str) -> None:
    """A request goes to this system."""
    for tally in _OPEN.get():
        tally.requests[system] += 1


def writes() -> None:
    """A request that goes there writes."""
    for tally in _OPEN.get():
        tally.writes += 1
