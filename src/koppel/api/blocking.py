"""Koppel for those who wait: each method runs in an event loop of its own, in a thread."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from koppel.api.asynchronous import AsyncKoppel
from koppel.config import Config
from koppel.mapping.model import TableMapping

P = ParamSpec("P")
T = TypeVar("T")


class _Loop:
    """An event loop in a thread of its own, with one ``AsyncKoppel`` in it. It starts with the first piece of work."""

    def __init__(self, koppel: AsyncKoppel) -> None:
        self.koppel = koppel
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of ``work``; Ctrl-C ends it as orderly as it ends a command."""
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="koppel", daemon=True)
                self._thread.start()
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            self.run(self.koppel.settled())
            raise

    def close(self) -> None:
        """Close what is open and end the thread."""
        if self._loop is not None and self._thread is not None:
            self.run(self.koppel.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = self._thread = None


def _blocking(
    method: Callable[Concatenate[AsyncKoppel, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Koppel, P], T]:
    """The same method for those who wait."""

    def call(self: Koppel, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._loop.run(method(self._loop.koppel, *args, **kwargs))

    return wraps(method)(call)


class Koppel:
    """Koppel for scripts and notebooks: ``with Koppel() as koppel: koppel.sync("CUSTOMER")``.

    ``config``: a ``Config``, the path of a ``koppel.yaml``, or nothing for the one that ``koppel`` itself would use.
    Methods and results are those of ``AsyncKoppel``. Nothing is opened before the first call that needs it, and
    nothing is left open after ``close``, the end of ``with``, or the end of the program.
    """

    def __init__(self, config: Config | Path | str | None = None) -> None:
        self._loop = _Loop(AsyncKoppel(config))
        self._end = weakref.finalize(self, self._loop.close)

    @property
    def mappings(self) -> dict[str, TableMapping]:
        """The mappings by name, in the order of their dependencies."""
        return self._loop.koppel.mappings

    def __enter__(self) -> Koppel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back connections, database and thread; the next call would open them again."""
        self._loop.close()

    sync = _blocking(AsyncKoppel.sync)
    plan = _blocking(AsyncKoppel.plan)
    review = _blocking(AsyncKoppel.review)
    full = _blocking(AsyncKoppel.full)
    full_again = _blocking(AsyncKoppel.full_again)
    match_preview = _blocking(AsyncKoppel.match_preview)
    match = _blocking(AsyncKoppel.match)
    couple = _blocking(AsyncKoppel.couple)
    couple_pairs = _blocking(AsyncKoppel.couple_pairs)
    create = _blocking(AsyncKoppel.create)
    uncouple = _blocking(AsyncKoppel.uncouple)
    orphans = _blocking(AsyncKoppel.orphans)
    status = _blocking(AsyncKoppel.status)
    jobs = _blocking(AsyncKoppel.jobs)
    messages = _blocking(AsyncKoppel.messages)
    history = _blocking(AsyncKoppel.history)
    undo = _blocking(AsyncKoppel.undo)
    explain = _blocking(AsyncKoppel.explain)
    verify = _blocking(AsyncKoppel.verify)
    errors = _blocking(AsyncKoppel.errors)
    retry = _blocking(AsyncKoppel.retry)
    conflicts = _blocking(AsyncKoppel.conflicts)
    resolve = _blocking(AsyncKoppel.resolve)
