"""The service's operational limits, small enough for a test when one likes: section 10 of the wire facts."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from koppel.sandbox.business_central.errors import ServiceError


class Limits(msgspec.Struct, frozen=True):
    """Limits per user, as they are online. ``window`` in seconds; ``body`` in bytes.

    ``retry_after`` (seconds) is sent with 429; None: no such header, as has been seen. ``duration`` is how long a
    request takes at least (seconds), without which nothing would ever queue.
    """

    requests: int = 6000
    window: float = 300.0
    at_once: int = 5
    queue: int = 95
    body: int = 350_000_000
    retry_after: int | None = None
    duration: float = 0.0


class Gate:
    """Lets requests of one user through as the limits allow."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._times: deque[float] = deque()
        self._free = asyncio.Semaphore(limits.at_once)
        self._inside = 0

    @asynccontextmanager
    async def pass_through(self) -> AsyncIterator[None]:
        """Wait for one's turn, take the time a request takes. ``ServiceError`` 429 over the limits."""
        self._count()
        self._inside += 1
        try:
            async with self._free:
                yield
                if self.limits.duration:
                    await asyncio.sleep(self.limits.duration)
        finally:
            self._inside -= 1

    def _count(self) -> None:
        now, limits = time.monotonic(), self.limits
        while self._times and self._times[0] <= now - limits.window:
            self._times.popleft()
        if len(self._times) >= limits.requests:
            raise self._too_many(len(self._times) + 1, limits.requests)
        if self._inside >= limits.at_once + limits.queue:
            raise self._too_many(self._inside + 1, limits.at_once + limits.queue)
        self._times.append(now)

    def _too_many(self, actual: int, maximum: int) -> ServiceError:
        seconds = self.limits.retry_after
        headers = {} if seconds is None else {"retry-after": str(seconds)}
        text = f"Too many requests reached. Actual ({actual}). Maximum ({maximum})."
        return ServiceError(429, "Application_TooManyRequests", text, headers)


def too_large(limits: Limits) -> ServiceError:
    """A body over the limit."""
    return ServiceError(413, "BadRequest", f"The request body exceeds {limits.body} bytes.")
