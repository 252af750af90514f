"""Keeps a user of a connection below the system's limits: requests at once, their number and time in five minutes.

Dataverse: 52 at once, 6,000 requests and 1,200 s of execution time in 300 s, sliding (service protection limits).
Business Central: 5 processed at once, 6,000 requests in 300 s.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import msgspec

_TIME_LEFT = "x-ms-ratelimit-time-remaining-xrm-requests"
"""Where Dataverse tells how many seconds of execution the window still allows, as ``1,200.00``."""
_LITTLE = 0.01
_SHORTEST = 0.001
"""Less than that is but what is left over from subtracting times."""
_SLOW = 3.0
"""A request that takes this many times the shortest of its kind has waited in a queue at the other end."""


_LEAST = 4.0
"""Fewer at once would leave the system idle while answers are on their way, or while the client is busy."""


class Limits(msgspec.Struct, frozen=True):
    """``start`` and ``most`` requests at once; ``requests`` and ``seconds`` of execution in a sliding ``window``."""

    start: int
    most: int
    requests: int = 6000
    seconds: float = float("inf")
    window: float = 300.0


_FRESH = 10.0
"""For how many seconds it counts what others were said to have used."""


class Spent(msgspec.Struct, frozen=True):
    """What was used of a budget: requests, and seconds of execution."""

    requests: int = 0
    seconds: float = 0.0


def shared(limits: Limits, workers: int) -> Limits:
    """What each of so many workers may use of limits that count for all of them together."""
    return msgspec.structs.replace(
        limits,
        start=max(1, limits.start // workers),
        most=max(1, limits.most // workers),
        requests=max(1, limits.requests // workers),
        seconds=limits.seconds / workers,
    )


DATAVERSE = Limits(start=8, most=52, seconds=1200.0)
BUSINESS_CENTRAL = Limits(start=4, most=5)


class Governor:
    """Lets requests through one ``slot`` at a time.

    The number allowed at once doubles with each round of requests until one is slowed down, grows by one a round from
    then on, and is halved when the system says that it was too much.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.limits = limits
        self._alone = limits
        self.allowed = float(limits.start)
        self._clock = clock
        self._sleep = sleep
        self._running = 0
        self._free = asyncio.Condition()
        self._paused_until = 0.0
        self._started: deque[float] = deque()
        self._spent: deque[tuple[float, float]] = deque()
        self._spent_sum = 0.0
        self._untold = Spent()
        self._others = Spent()
        self._others_told = 0.0
        self._shortest: dict[str, float] = {}
        self._is_told = False
        self._finding = True

    @asynccontextmanager
    async def slot(self, kind: str) -> AsyncIterator[None]:
        """Room for one request; ``kind`` names requests of similar length, such as ``GET`` or ``$batch``."""
        await self._enter()
        start = self._clock()
        try:
            yield
        finally:
            await self._leave(kind, self._clock() - start)

    def another(self) -> Governor:
        """One for another user of the same system, who has limits of his own."""
        return Governor(self._alone, clock=self._clock, sleep=self._sleep)

    def share(self, workers: int, others: Spent = Spent()) -> None:
        """So many workers use the same connection from now on, each its part of the limits.

        ``others``: what the other ones used in the window of the moment, which may be more than their part.
        """
        self.limits = shared(self._alone, workers)
        self.allowed = min(self.allowed, float(self.limits.most))
        self._others, self._others_told = others, self._clock()

    def spent(self) -> Spent:
        """What was used since this was asked last."""
        spent, self._untold = self._untold, Spent()
        return spent

    def pause(self, seconds: float) -> None:
        """The system said Retry-After: nobody sends anything for so long."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    def heard(self, headers: Mapping[str, str]) -> None:
        """What an answer tells of the time left: the time of execution alone, where we count the way there and back."""
        try:
            left = float(headers.get(_TIME_LEFT, "").replace(",", ""))
        except ValueError:
            return
        self._is_told = True
        if left < self.limits.seconds * _LITTLE:
            self.pause(1.0)

    def slow_down(self) -> None:
        """The system said that it was too much."""
        self._finding = False
        self.allowed = max(1.0, self.allowed / 2)

    async def _enter(self) -> None:
        async with self._free:
            await self._free.wait_for(lambda: self._running < int(self.allowed))
            self._running += 1
        try:
            while (wait := self.wait()) > 0:
                await self._sleep(max(wait, _SHORTEST))
        except BaseException:
            await self._give_back()
            raise
        self._started.append(self._clock())
        self._untold = Spent(self._untold.requests + 1, self._untold.seconds)

    async def _leave(self, kind: str, seconds: float) -> None:
        self._spent.append((self._clock(), seconds))
        self._spent_sum += seconds
        self._untold = Spent(self._untold.requests, self._untold.seconds + seconds)
        self._adapt(kind, seconds)
        await self._give_back()

    async def _give_back(self) -> None:
        async with self._free:
            self._running -= 1
            self._free.notify_all()

    def _adapt(self, kind: str, seconds: float) -> None:
        shortest = min(seconds, self._shortest.get(kind, seconds) * 1.02)  # forgets slowly what was once possible
        self._shortest[kind] = shortest
        if seconds > _SLOW * shortest:
            self._finding = False
            self.allowed = max(min(_LEAST, self.allowed, self.limits.most), self.allowed - 0.5)
        elif self._running >= int(self.allowed):
            step = 1.0 if self._finding else 1 / self.allowed
            self.allowed = min(float(self.limits.most), self.allowed + step)

    def wait(self) -> float:
        """Seconds until the budget of the window allows another request."""
        now = self._clock()
        begin = now - self.limits.window
        while self._started and self._started[0] <= begin:
            self._started.popleft()
        while self._spent and self._spent[0][0] <= begin:
            self._spent_sum -= self._spent.popleft()[1]
        wait = self._paused_until - now
        if len(self._started) >= self.limits.requests:
            wait = max(wait, self._started[0] - begin)
        if self._spent and self._spent_sum >= self.limits.seconds and not self._is_told:
            wait = max(wait, self._spent[0][0] - begin)
        return max(wait, 1.0) if self._is_used_up(now) else wait

    def _is_used_up(self, now: float) -> bool:
        """Whether all together have used what one user may, as when others were here alone before."""
        if now - self._others_told > _FRESH or self._others == Spent():
            return False
        over_time = self._spent_sum + self._others.seconds >= self._alone.seconds and not self._is_told
        return over_time or len(self._started) + self._others.requests >= self._alone.requests
