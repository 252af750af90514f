"""A clock that is off, as a whole process sees it: ``python tests/wrong_clock.py 300 worker`` is a ``koppel worker``
that is five minutes ahead.

What tells the time of day is replaced on the types themselves, so that it holds however anybody imported it. How long
something takes (``time.monotonic``) is right on any machine, and here too.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta, tzinfo
from typing import Any


@contextmanager
def clock_off(seconds: float) -> Iterator[None]:
    """The clock of this process is so much ahead, or behind."""
    off, now, seconds_since = timedelta(seconds=seconds), datetime.now, time.time

    def shifted(kind: type[datetime], tz: tzinfo | None = None) -> datetime:
        return now(tz) + off

    with (
        _replaced(datetime, now=classmethod(shifted), today=classmethod(shifted)),
        _replaced(date, today=classmethod(lambda kind: (now() + off).date())),
    ):
        time.time = lambda: seconds_since() + seconds
        try:
            yield
        finally:
            time.time = seconds_since


@contextmanager
def _replaced(kind: type, **methods: Any) -> Iterator[None]:
    """Methods of a type that is written in C, which takes none in the usual way."""
    (there,) = gc.get_referents(kind.__dict__)
    before = {name: there[name] for name in methods if name in there}
    there.update(methods)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))
    try:
        yield
    finally:
        for name in methods:
            del there[name]
        there.update(before)
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))


if __name__ == "__main__":
    with clock_off(float(sys.argv.pop(1))):
        from koppel.cli.main import main

        main()
