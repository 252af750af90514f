from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from koppel.errors import AuthenticationError, DataError, OutcomeUnknownError, RemoteError, TransientError
from koppel.systems.auth import Token, Tokens
from koppel.systems.governor import Governor, Limits
from koppel.systems.rows import Envelope
from koppel.systems.sending import TRIES, Sender, chunks_of, in_order, retry_after, write_chunks
from koppel.systems.system import Written
from koppel.systems.transport import Request, Response

URL = "https://org.example/api/accounts"
Step = Response | Exception


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Script:
    """A transport that answers what it was told to, one step a request."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.requests: list[Request] = []

    async def send(self, request: Request) -> Response:
        self.requests.append(request)
        step = self.steps.pop(0)
        await asyncio.sleep(0)
        if isinstance(step, Exception):
            raise step
        return step

    async def close(self) -> None:
        self.steps.clear()


def answer(status: int, **headers: str) -> Response:
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


def sender_of_two(script: Script, clock: Clock, most: int = 4) -> Sender:
    """Two users, whose tokens are their names."""

    def tokens(name: str) -> Tokens:
        async def fetch() -> Token:
            return Token(name, 3600)

        return Tokens(fetch, clock)

    governor = Governor(Limits(most, most), clock=clock, sleep=clock.sleep)
    return Sender("Dataverse", script, [tokens("one"), tokens("two")], governor, headers={}, sleep=clock.sleep)


def users_of(script: Script) -> list[str]:
    return [request.headers["Authorization"].removeprefix("Bearer ") for request in script.requests]


async def test_who_is_to_wait_leaves_the_work_to_the_others() -> None:
    script, clock = Script(answer(429, retry_after="30"), *[answer(200)] * 3), Clock()
    sender = sender_of_two(script, clock)
    for _ in range(3):
        await sender.get(URL)
    assert users_of(script) == ["one", "two", "two", "two"]
    assert clock.slept == []


async def test_requests_at_once_are_spread() -> None:
    script, clock = Script(*[answer(200)] * 6), Clock()
    sender = sender_of_two(script, clock, most=3)
    await asyncio.gather(*(sender.get(URL) for _ in range(6)))
    assert Counter(users_of(script)) == {"one": 3, "two": 3}


async def test_a_request_may_ask_for_its_user() -> None:
    script, clock = Script(answer(200), answer(200)), Clock()
    sender = sender_of_two(script, clock)
    for user in sender.users:
        await sender.get(URL, user=user)
    assert users_of(script) == ["one", "two"]


def sender_of(script: Script, clock: Clock) -> Sender:
    count = iter(range(100))

    async def fetch() -> Token:
        return Token(f"token-{next(count)}", 3600)

    governor = Governor(Limits(2, 4), clock=clock, sleep=clock.sleep)
    return Sender(
        "Dataverse", script, [Tokens(fetch, clock)], governor, headers={"X": "1"}, sleep=clock.sleep, jitter=lambda: 1.0
    )


async def test_sends_token_and_headers() -> None:
    script = Script(answer(200))
    sender = sender_of(script, Clock())
    assert (await sender.get(URL, {"Prefer": "a"})).status == 200
    assert script.requests[0].headers == {"X": "1", "Authorization": "Bearer token-0", "Prefer": "a"}
    assert (sender.counters.requests, sender.counters.write_requests, sender.counters.retried) == (1, 0, 0)


async def test_a_read_is_tried_again_with_growing_waits() -> None:
    clock = Clock()
    script = Script(TransientError("refused"), answer(500), answer(504), answer(200))
    assert (await sender_of(script, clock).get(URL)).status == 200
    assert clock.slept == [1.0, 2.0, 4.0]


async def test_trying_ends_and_says_so() -> None:
    clock = Clock()
    sender = sender_of(Script(*[answer(502)] * TRIES), clock)
    with pytest.raises(TransientError, match="502") as caught:
        await sender.get(URL)
    assert "tried 8 times" in caught.value.remedy
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert sender.counters.retried == TRIES - 1
    assert max(clock.slept) <= 60


async def test_trying_ends_early_when_nothing_ever_answered() -> None:
    clock = Clock()
    script = Script(*[TransientError("cannot reach it")] * TRIES)
    with pytest.raises(TransientError, match="cannot reach it"):
        await sender_of(script, clock).get(URL)
    assert len(script.requests) == 3
    assert sum(clock.slept) == 3


async def test_retry_after_holds_all_requests_back() -> None:
    clock = Clock()
    sender = sender_of(Script(answer(429, retry_after="17"), answer(200), answer(200)), clock)
    await sender.get(URL)
    assert sum(clock.slept) == pytest.approx(17)
    assert sender.counters.throttled == 1


@pytest.mark.parametrize(
    ("first", "doubtful"),
    [
        (OutcomeUnknownError("lost"), True),
        (answer(504), True),
        (answer(503), False),
        (TransientError("refused"), False),
    ],
)
async def test_the_answer_to_a_second_try_tells_whether_the_first_may_have_been_carried_out(
    first: Step, doubtful: bool
) -> None:
    sender = sender_of(Script(first, answer(503), answer(412)), Clock())
    refused = await sender.write("PATCH", URL, {}, b"{}", rows=1, repeatable=True)
    assert (refused.status, refused.doubtful) == (412, doubtful)


async def test_a_repeatable_write_is_tried_again() -> None:
    sender = sender_of(Script(OutcomeUnknownError("lost"), answer(504), answer(204)), Clock())
    assert (await sender.write("PATCH", URL, {}, b"{}", rows=3, repeatable=True)).status == 204
    assert (sender.counters.write_requests, sender.counters.written, sender.counters.requests) == (1, 3, 3)


@pytest.mark.parametrize("step", [OutcomeUnknownError("lost"), answer(504), answer(502), answer(408)])
async def test_another_write_is_not(step: Step) -> None:
    script = Script(step, answer(201))
    with pytest.raises(OutcomeUnknownError):
        await sender_of(script, Clock()).write("POST", URL, {}, b"{}", rows=1, repeatable=False)
    assert len(script.requests) == 1


@pytest.mark.parametrize("step", [TransientError("refused"), answer(429), answer(503)])
async def test_what_was_surely_not_carried_out_is_tried_again(step: Step) -> None:
    script = Script(step, answer(201))
    assert (await sender_of(script, Clock()).write("POST", URL, {}, b"{}", rows=1, repeatable=False)).status == 201


async def test_a_refused_token_is_replaced_once() -> None:
    script = Script(answer(401), answer(200))
    assert (await sender_of(script, Clock()).get(URL)).status == 200
    assert [request.headers["Authorization"] for request in script.requests] == ["Bearer token-0", "Bearer token-1"]


async def test_a_second_refusal_is_an_error() -> None:
    with pytest.raises(AuthenticationError, match="token") as caught:
        await sender_of(Script(answer(401), answer(401)), Clock()).get(URL + "?secret=1")
    assert caught.value.place == URL


async def test_an_error_answer_is_the_callers_business() -> None:
    assert (await sender_of(Script(answer(400)), Clock()).get(URL)).status == 400


async def test_pages_are_followed_to_the_last() -> None:
    sender = sender_of(Script(answer(200), answer(201), answer(202)), Clock())

    def decode(found: Response) -> Envelope:
        return Envelope([], [str(found.status)], "" if found.status == 202 else f"{URL}?page={found.status}", "")

    pages = [page.deleted[0] async for page in sender.pages(URL, {}, decode)]
    assert pages == ["200", "201", "202"]


async def test_a_reader_that_stops_early_leaves_nothing_behind() -> None:
    sender = sender_of(Script(answer(200), answer(200), answer(200)), Clock())
    pages = sender.pages(URL, {}, lambda found: Envelope([], [], URL, ""))
    async for _ in pages:
        break
    await pages.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("text", "seconds"), [("3", 3.0), ("0.5", 0.5), ("", None), ("soon", None), ("-1", 0.0)])
def test_retry_after_in_seconds(text: str, seconds: float | None) -> None:
    assert retry_after(answer(429, retry_after=text)) == seconds


def test_retry_after_as_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    found = retry_after(answer(429, retry_after=date))
    assert found is not None
    assert 55 < found <= 60


def test_retry_after_as_a_date_by_the_clock_of_who_says_it() -> None:
    """A part of a batch has no date of its own; an answer has."""
    now = datetime.now(UTC) - timedelta(minutes=5)
    date, until = (format_datetime(at, usegmt=True) for at in (now, now + timedelta(seconds=7)))
    assert retry_after(answer(503, retry_after=until, date=date)) == 7


async def test_in_order_keeps_the_order_and_stops_at_a_failure() -> None:
    done: list[int] = []

    async def work(number: int) -> int:
        if number < 0:
            raise DataError("bad")
        done.append(number)
        return number * 2

    assert await in_order(work(number) for number in (3, 1, 2)) == [6, 2, 4]
    with pytest.raises(DataError):
        await in_order(work(number) for number in (1, -1))


async def test_a_chunk_that_fails_does_not_stop_the_others() -> None:
    async def write(chunk: object) -> list[Written]:
        assert isinstance(chunk, list)
        if 2 in chunk:
            raise DataError("bad chunk")
        return [Written(id=str(row)) for row in chunk]

    results = await write_chunks([0, 1, 2, 3, 4], 2, write)
    assert [result.id for result in results] == ["0", "1", "", "", "4"]
    assert [isinstance(result.error, RemoteError) for result in results] == [False, False, True, True, False]


async def test_wrong_credentials_stop_everything() -> None:
    async def write(chunk: object) -> list[Written]:
        raise AuthenticationError("no")

    with pytest.raises(AuthenticationError):
        await write_chunks([1, 2], 1, write)


def test_chunks() -> None:
    assert chunks_of([1, 2, 3], 2) == [[1, 2], [3]]
    assert chunks_of([], 2) == []
