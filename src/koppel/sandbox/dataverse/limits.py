"""The service protection limits: requests, execution time and concurrency of each user in a sliding window."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from datetime import datetime

from koppel.sandbox.dataverse.errors import ServiceError


class _Usage:
    """What one user has used up: when each request came and how long it took."""

    def __init__(self) -> None:
        self.requests: deque[float] = deque()
        self.spent: deque[tuple[float, float]] = deque()
        self.seconds = 0.0
        self.running = 0
        self.refused = 0


class Limits:
    """The limits, by default the published ones and not enforced.

    ``window`` in seconds of the clock; ``requests`` in it; ``execution_seconds`` of all requests together in it;
    ``concurrent`` requests at one time. ``service_seconds`` is added to the time that every request takes.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.enforced = False
        self.window = 300.0
        self.requests = 6_000
        self.execution_seconds = 1_200.0
        self.concurrent = 52
        self.service_seconds = 0.0
        self._clock = clock
        self._users: dict[str, _Usage] = {}

    def enter(self, user: str) -> None:
        """Count a request that begins; 429 when it is one too many. ``leave`` must follow unless it is refused."""
        usage = self._users.setdefault(user, _Usage())
        now = self._clock().timestamp()
        self._forget(usage, now)
        if self.enforced:
            self._check(usage, now)
        usage.refused = 0
        usage.requests.append(now)
        usage.running += 1

    def leave(self, user: str, seconds: float) -> None:
        """Count a request that has ended after ``seconds`` of execution."""
        usage = self._users[user]
        usage.running -= 1
        usage.seconds += seconds
        usage.spent.append((self._clock().timestamp(), seconds))

    def headers(self, user: str) -> dict[str, str]:
        """What is left, as the platform tells with every answer."""
        usage = self._users.get(user) or _Usage()
        return {
            "x-ms-ratelimit-burst-remaining-xrm-requests": str(max(0, self.requests - len(usage.requests))),
            "x-ms-ratelimit-time-remaining-xrm-requests": f"{max(0.0, self.execution_seconds - usage.seconds):,.2f}",
        }

    def _forget(self, usage: _Usage, now: float) -> None:
        begin = now - self.window
        while usage.requests and usage.requests[0] <= begin:
            usage.requests.popleft()
        while usage.spent and usage.spent[0][0] <= begin:
            usage.seconds -= usage.spent.popleft()[1]

    def _check(self, usage: _Usage, now: float) -> None:
        window = f"over time window of {self.window:.0f} seconds."
        if usage.running >= self.concurrent:
            text = f"Number of concurrent requests exceeded the limit of {self.concurrent}."
            raise _refusal(usage, "0x80072326", text, 0.0)
        if len(usage.requests) >= self.requests:
            text = f"Number of requests exceeded the limit of {self.requests} {window}"
            raise _refusal(usage, "0x80072322", text, usage.requests[0] + self.window - now)
        if usage.seconds >= self.execution_seconds:
            limit = f"{self.execution_seconds * 1000:,.0f}"
            text = f"Combined execution time of incoming requests exceeded limit of {limit} milliseconds {window}"
            raise _refusal(usage, "0x80072321", text, usage.spent[0][0] + self.window - now)


def _refusal(usage: _Usage, code: str, text: str, wait: float) -> ServiceError:
    """429. The wait grows with every request that comes in spite of it."""
    seconds = max(1, math.ceil(wait)) + usage.refused
    usage.refused += 1
    return ServiceError(429, code, text, {"Retry-After": str(seconds)})
