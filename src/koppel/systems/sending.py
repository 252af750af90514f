"""Sending as both clients do it: with a token, through the governor, again when that is safe and may help."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import msgspec

from koppel.errors import AuthenticationError, OutcomeUnknownError, RemoteError, TransientError
from koppel.odata.records import Record
from koppel.systems import tally
from koppel.systems.auth import Tokens
from koppel.systems.governor import Governor, Spent
from koppel.systems.rows import Envelope
from koppel.systems.system import Counters, Written
from koppel.systems.transport import Request, Response, Transport
from koppel.tracing import request_span

_T = TypeVar("_T")
_Row = TypeVar("_Row")

TRIES = 8
_FIRST_TRIES = 3
"""As long as nothing ever answered: more likely a wrong address than a short outage."""
_LONGEST = 60.0
_CLOCK_ERROR = 1.5
"""By how many seconds a clock may seem to be behind what it told before, without being so."""
_NOT_CARRIED_OUT = frozenset({429, 503})
_NOT_KNOWN = frozenset({408, 502, 504})


class User(msgspec.Struct, eq=False):
    """One of the application users by whom a connection sends: the system counts the requests of each apart. ``busy``:
    how many are under way or wait for their turn."""

    tokens: Tokens
    governor: Governor
    busy: int = 0

    def room(self) -> tuple[bool, float]:
        """Sorts higher the sooner another request would be sent."""
        wait = self.governor.wait()
        return (False, -wait) if wait > 0 else (True, self.governor.allowed - self.busy)


class Sender:
    """Sends the requests of one connection and counts them, each by the user who has most room.

    ``name``: what people call the system. ``tokens`` of each user. ``jitter`` gives numbers from 0 to 1 that keep
    workers from coming back all at once.
    """

    def __init__(
        self,
        name: str,
        transport: Transport,
        tokens: Sequence[Tokens],
        governor: Governor,
        *,
        headers: Mapping[str, str],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.counters = Counters()
        self._name = name
        self._transport = transport
        governors = [governor, *(governor.another() for _ in tokens[1:])]
        self.users = [User(*user) for user in zip(tokens, governors, strict=True)]
        self._headers = dict(headers)
        self._sleep = sleep
        self._jitter = jitter
        self._answered = False

    async def get(self, url: str, headers: Mapping[str, str] | None = None, user: User | None = None) -> Response:
        """Read; tried again as often as it makes sense. ``user``: by this one and no other."""
        return await self._send("GET", url, headers or {}, b"", repeatable=True, user=user)

    async def post_read(self, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Read by POST, as a batch of reads is."""
        return await self._send("POST", url, headers, body, repeatable=True)

    async def write(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, *, rows: int, repeatable: bool
    ) -> Response:
        """Write ``rows`` rows. ``repeatable``: doing it twice does no harm, so it is tried again when no answer came;
        otherwise that is an ``OutcomeUnknownError``."""
        self.counters.written += rows
        self.counters.write_requests += 1
        tally.writes()
        return await self._send(method, url, headers, body, repeatable=repeatable)

    async def pages(
        self, url: str, headers: Mapping[str, str], decode: Callable[[Response], Envelope]
    ) -> AsyncIterator[Envelope]:
        """Pages of a collection, each asked for while the one before is being worked on."""
        pending = asyncio.create_task(self.get(url, headers))
        try:
            while True:
                page = decode(await pending)
                if page.next_link:
                    pending = asyncio.create_task(self.get(page.next_link, headers))
                yield page
                if not page.next_link:
                    return
        finally:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)

    async def complete(
        self, pages: Sequence[Envelope], headers: Mapping[str, str], decode: Callable[[Response], Envelope]
    ) -> list[Record]:
        """The records of first pages that came in a batch, and of the pages that those link to."""
        records = [record for page in pages for record in page.records]
        for page in pages:
            if page.next_link:
                async for more in self.pages(page.next_link, headers, decode):
                    records += more.records
        return records

    def share(self, workers: int, others: Sequence[Spent] = ()) -> None:
        """So many workers send by the same users from now on, which the system's limits count together.

        ``others``: what the other ones sent by each user in the window of the moment.
        """
        for number, user in enumerate(self.users):
            user.governor.share(workers, others[number] if number < len(others) else Spent())

    def spent(self) -> list[Spent]:
        """What was sent by each user since this was asked last."""
        return [user.governor.spent() for user in self.users]

    async def close(self) -> None:
        """Give back connections."""
        await self._transport.close()

    async def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        repeatable: bool,
        user: User | None = None,
    ) -> Response:
        attempt, doubtful = 0, False
        while True:
            by = user or max(self.users, key=User.room)
            by.busy += 1
            try:
                answer = await self._once(by, Request(method, url, headers, body))
                failure = self._worth_another_try(method, answer, repeatable)
            except OutcomeUnknownError as error:
                if not repeatable:
                    raise
                failure, doubtful = TransientError(error.message), True
            except TransientError as error:
                failure = error
            finally:
                by.busy -= 1
            if failure is None:
                return msgspec.structs.replace(answer, doubtful=True) if doubtful else answer
            doubtful = doubtful or failure.status in _NOT_KNOWN
            attempt += 1
            if attempt >= (TRIES if self._answered else _FIRST_TRIES):
                failure.remedy = failure.remedy or f"tried {attempt} times; the next run tries again"
                raise failure
            self.counters.retried += 1
            await self._back_off(by, attempt, failure)

    async def _once(self, user: User, request: Request) -> Response:
        """One exchange, a second one with a new token if the first was refused."""
        token = await user.tokens.get()
        answer = await self._exchange(user, request, token)
        if answer.status == 401:
            user.tokens.discard(token)
            answer = await self._exchange(user, request, await user.tokens.get())
        if answer.status == 401:
            raise AuthenticationError(
                "the system refuses the connection's token",
                status=401,
                place=request.url.partition("?")[0],
                remedy="check that the application is registered in the system and enabled there",
            )
        return answer

    async def _exchange(self, user: User, request: Request, token: str) -> Response:
        headers = {**self._headers, "Authorization": f"Bearer {token}", **request.headers}
        kind = request.url.partition("?")[0].rpartition("/")[2] if request.method == "POST" else request.method
        async with user.governor.slot(kind):
            self.counters.requests += 1
            tally.sent(self._name)
            with request_span(request.method, request.url) as tell:
                answer = await self._transport.send(Request(request.method, request.url, headers, request.body))
                tell(status_code=answer.status)
            self._answered = True
            user.governor.heard(answer.headers)
            self._compare_clocks(answer.headers.get("date", ""))
            return answer

    def _compare_clocks(self, date: str) -> None:
        """An answer tells the time in whole seconds, cut off, and came a little while ago: the most is the truest."""
        try:
            ahead = (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):
            return
        if ahead > self.counters.ahead or ahead < self.counters.ahead - _CLOCK_ERROR:
            self.counters.ahead = ahead

    def _worth_another_try(self, method: str, answer: Response, repeatable: bool) -> TransientError | None:
        text = f"{self._name} answers HTTP status {answer.status}"
        if answer.status in _NOT_CARRIED_OUT:
            self.counters.throttled += 1
            return TransientError(text, retry_after=retry_after(answer), status=answer.status)
        if answer.status in _NOT_KNOWN or (answer.status == 500 and method == "GET"):
            if not repeatable:
                raise OutcomeUnknownError(text, status=answer.status)
            return TransientError(text, retry_after=retry_after(answer), status=answer.status)
        return None

    async def _back_off(self, user: User, attempt: int, failure: TransientError) -> None:
        """Wait: as long as the system says, all requests of this user; else longer each time."""
        if failure.status in _NOT_CARRIED_OUT:
            user.governor.slow_down()
        if failure.retry_after is not None:
            user.governor.pause(failure.retry_after)
        else:
            await self._sleep(min(_LONGEST, 2.0 ** (attempt - 1)) * (0.5 + self._jitter() / 2))


def retry_after(answer: Response) -> float | None:
    """Seconds that the system asks to wait, as a number or a date by its own clock; ``None`` when it does not say."""
    text = answer.headers.get("retry-after", "")
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - _answered_at(answer)).total_seconds())
    except (ValueError, TypeError):
        return None


def _answered_at(answer: Response) -> datetime:
    date = answer.headers.get("date")
    return parsedate_to_datetime(date) if date else datetime.now(UTC)


async def in_order(work: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """The results of work done side by side, in order. The first failure stops the rest."""
    tasks = [asyncio.create_task(item) for item in work]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def chunks_of(items: Sequence[_T], size: int) -> list[Sequence[_T]]:
    """The items in pieces of at most ``size``."""
    return [items[start : start + size] for start in range(0, len(items), size)]


async def write_chunks(
    rows: Sequence[_Row], size: int, write: Callable[[Sequence[_Row]], Awaitable[list[Written]]]
) -> list[Written]:
    """Write rows in chunks, side by side; one result a row, in order.

    When a chunk fails as a whole, each of its rows has failed. Only wrong credentials stop everything.
    """

    async def one(chunk: Sequence[_Row]) -> list[Written]:
        try:
            return await write(chunk)
        except AuthenticationError:
            raise
        except RemoteError as error:
            return [Written(error=error)] * len(chunk)

    return [result for part in await in_order(one(chunk) for chunk in chunks_of(rows, size)) for result in part]


def refused(error: RemoteError, sent: Mapping[str, object], *, doubtful: bool) -> Written:
    """A write that was refused. What was sent completes the culprit: the value of the field that is named, or the field
    of the value."""
    error.doubtful = doubtful
    if error.field and not error.value:
        error.value = str(sent.get(error.field, ""))
    elif error.value and not error.field:
        error.field = next((name for name, value in sent.items() if str(value) == error.value), "")
    return Written(error=error)
