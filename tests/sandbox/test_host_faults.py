"""Faults: each does what it says, no more, and the counters tell the truth."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest
from starlette.types import Message, Receive, Scope, Send

from koppel.sandbox.faults import FaultMiddleware, Faults, Kill, SystemFaults


class DiedError(Exception):
    """The process would have died."""


class World:
    """An application that only counts what it carries out, behind the middleware."""

    def __init__(self, **faults: SystemFaults) -> None:
        self.carried_out: list[bytes] = []
        self.middleware = FaultMiddleware(self._app, Faults(**faults), kill=self._die)  # type: ignore[arg-type]

    async def ask(self, path: str = "/dataverse/api/data/v9.2/accounts", method: str = "GET", body: bytes = b"") -> int:
        """Status of the answer."""
        parts: list[Message] = [
            {"type": "http.request", "body": body[:7], "more_body": True},
            {"type": "http.request", "body": body[7:], "more_body": False},
        ]
        sent: list[Message] = []

        async def receive() -> Message:
            return parts.pop(0) if parts else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.middleware({"type": "http", "method": method, "path": path, "headers": []}, receive, send)
        self.headers = dict(sent[0]["headers"])
        return int(sent[0]["status"])

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        self.carried_out.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def _die(self) -> None:
        raise DiedError


async def test_without_faults_everything_passes() -> None:
    world = World()
    assert [await world.ask() for _ in range(20)] == [200] * 20
    assert len(world.carried_out) == 20


async def test_unavailable_answers_503_before_anything_happens() -> None:
    world = World(dataverse=SystemFaults(unavailable=1.0, retry_after=7))
    assert await world.ask(method="POST", body=b"{}") == 503
    assert world.headers[b"retry-after"] == b"7"
    assert world.carried_out == []


async def test_the_rate_is_met_and_the_same_seed_brings_the_same_fate() -> None:
    def outcomes() -> World:
        return World(dataverse=SystemFaults(unavailable=0.3))

    one, two = outcomes(), outcomes()
    first = [await one.ask() for _ in range(1000)]
    assert first == [await two.ask() for _ in range(1000)]
    assert 230 < first.count(503) < 370


async def test_a_lost_answer_is_carried_out_and_never_sent() -> None:
    world = World(dataverse=SystemFaults(lost=1.0))
    with pytest.raises(ConnectionResetError):
        await world.ask(method="PATCH", body=b'{"name":"New"}')
    assert world.carried_out == [b'{"name":"New"}']


@pytest.mark.parametrize(("after", "carried_out"), [(False, 2), (True, 3)])
async def test_kill_strikes_at_its_request(after: bool, carried_out: int) -> None:
    world = World(dataverse=SystemFaults(kill=Kill(request=3, after=after)))
    assert [await world.ask() for _ in range(2)] == [200, 200]
    with pytest.raises(DiedError):
        await world.ask()
    assert len(world.carried_out) == carried_out


async def test_latency_comes_before_the_request_is_carried_out() -> None:
    world = World(business_central=SystemFaults(latency=0.05))
    began = time.monotonic()
    asking = asyncio.create_task(world.ask("/bc/v2.0/production/api/v2.0/companies"))
    await asyncio.sleep(0.01)
    assert world.carried_out == []
    assert await asking == 200
    assert time.monotonic() - began >= 0.045  # the loop counts whole milliseconds


async def test_faults_of_one_system_leave_the_other_alone() -> None:
    world = World(dataverse=SystemFaults(unavailable=1.0))
    assert await world.ask("/bc/v2.0/production/api/v2.0/companies") == 200
    assert await world.ask("/sandbox/state") == 200
    assert await world.ask() == 503


async def test_faults_can_be_set_and_lifted_at_any_time() -> None:
    world = World()
    world.middleware.set(Faults(dataverse=SystemFaults(unavailable=1.0)))
    assert await world.ask() == 503
    world.middleware.set(Faults())
    assert await world.ask() == 200


async def test_requests_that_write_are_counted_apart() -> None:
    world = World()
    for method in ("GET", "POST", "PATCH", "DELETE"):
        await world.ask(method=method)
    traffic = world.middleware.traffic["dataverse"]
    assert (traffic.requests, traffic.write_requests) == (4, 3)
    assert world.middleware.traffic["business_central"].requests == 0


READS = b"--b\r\nContent-Type: application/http\r\n\r\nGET accounts?$filter=name eq 'POST it' HTTP/1.1\r\n\r\n\r\n--b--"
MULTIPART = READS.replace(b"GET accounts", b"PATCH accounts(1)")
JSON_READS = b'{"requests":[{"id":"1","method":"GET","url":"x","body":{"note":"\\"method\\":\\"POST\\""}}]}'
JSON_WRITES = b'{"requests":[{"id":"1","method":"GET","url":"x"},{"id":"2","method" : "post","url":"y"}]}'


@pytest.mark.parametrize(
    ("path", "body", "writes"),
    [
        ("/dataverse/api/data/v9.2/$batch", READS, 0),
        ("/dataverse/api/data/v9.2/$batch", MULTIPART, 1),
        ("/bc/v2.0/production/api/v2.0/$batch", JSON_READS, 0),
        ("/bc/v2.0/production/api/v2.0/$batch", JSON_WRITES, 1),
    ],
)
async def test_a_batch_writes_when_one_of_its_parts_does(path: str, body: bytes, writes: int) -> None:
    world = World()
    await world.ask(path, "POST", body)
    assert sum(traffic.write_requests for traffic in world.middleware.traffic.values()) == writes
    assert world.carried_out == [body]


@pytest.mark.parametrize(
    "wrong",
    [
        b'{"dataverse":{"unavailable":1.5}}',
        b'{"dataverse":{"lost":-0.1}}',
        b'{"dataverse":{"latencies":1}}',
        b'{"sales":{}}',
    ],
)
def test_what_faults_cannot_mean_is_refused(wrong: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(wrong, type=Faults)
