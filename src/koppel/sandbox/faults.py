"""Trouble on demand: latency, unavailability, answers that never arrive, and sudden death.

One ASGI middleware around both systems. It also counts what each of them is asked, which nobody who asks can falsify.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections.abc import Callable
from typing import Any, Literal

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SystemName = Literal["dataverse", "business_central"]
PREFIXES: dict[str, SystemName] = {"dataverse": "dataverse", "bc": "business_central"}

CLOSE = "koppel.close"
"""The ASGI extension by which an application closes its connection without a word."""

_WRITES = frozenset({"POST", "PATCH", "PUT", "DELETE"})
_WRITE_IN_BATCH = re.compile(
    rb"""^(?:POST|PATCH|PUT|DELETE)\ [^\r\n]+\ HTTP/ | "method"\s*:\s*"(?:POST|PATCH|PUT|DELETE)" """,
    re.M | re.I | re.X,
)


class Kill(msgspec.Struct, forbid_unknown_fields=True):
    """Die at the ``request``-th request to the system (1: the next), before or ``after`` it is carried out."""

    request: int
    after: bool = False


class SystemFaults(msgspec.Struct, forbid_unknown_fields=True):
    """What goes wrong with one system.

    ``latency`` in seconds, before the request is carried out. ``unavailable`` and ``lost`` are probabilities (0 to 1)
    of a request: answered 503 with ``retry_after`` seconds and not carried out; carried out and never answered.
    """

    latency: float = 0.0
    unavailable: float = 0.0
    retry_after: int = 1
    lost: float = 0.0
    kill: Kill | None = None

    def __post_init__(self) -> None:
        if not (self.latency >= 0 and 0 <= self.unavailable <= 1 and 0 <= self.lost <= 1 and self.retry_after >= 0):
            raise ValueError("latency and retry_after are seconds, unavailable and lost probabilities from 0 to 1")


class Faults(msgspec.Struct, forbid_unknown_fields=True):
    """The faults of both systems. With the same ``seed`` the same requests in the same order meet the same fate."""

    seed: int = 0
    dataverse: SystemFaults = msgspec.field(default_factory=SystemFaults)
    business_central: SystemFaults = msgspec.field(default_factory=SystemFaults)


class Traffic(msgspec.Struct):
    """What a system was asked: HTTP requests, and those that write (a batch writes if any of its parts does)."""

    requests: int = 0
    write_requests: int = 0


def kill_process() -> None:
    """Die at once: nothing is flushed, nobody is told."""
    os._exit(137)


class FaultMiddleware:
    """Counts requests to both systems and gives them the fate that the ``faults`` of the moment say.

    A lost answer closes the connection. Without a connection (an application that is called in process) it raises
    ``ConnectionResetError``.
    """

    def __init__(self, app: ASGIApp, faults: Faults | None = None, kill: Callable[[], None] = kill_process) -> None:
        self.app = app
        self.kill = kill
        self.traffic: dict[SystemName, Traffic] = {"dataverse": Traffic(), "business_central": Traffic()}
        self.set(faults or Faults())

    def set(self, faults: Faults) -> None:
        """Let these faults happen from now on."""
        self.faults = faults
        self._random = random.Random(faults.seed)
        self._since: dict[SystemName, int] = {"dataverse": 0, "business_central": 0}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or not."""
        system = PREFIXES.get(scope["path"].split("/", 2)[1]) if scope["type"] == "http" else None
        if system is None:
            await self.app(scope, receive, send)
            return
        receive = await self._count(system, scope, receive)
        self._since[system] += 1
        faults = getattr(self.faults, system)
        if faults == _NONE:
            await self.app(scope, receive, send)
        else:
            await self._fate(system, faults, scope, receive, send)

    async def _count(self, system: SystemName, scope: Scope, receive: Receive) -> Receive:
        traffic = self.traffic[system]
        traffic.requests += 1
        if scope["method"] not in _WRITES:
            return receive
        if not scope["path"].endswith("/$batch"):
            traffic.write_requests += 1
            return receive
        body = await _body(receive)
        traffic.write_requests += _WRITE_IN_BATCH.search(body) is not None
        return _replay(body, receive)

    async def _fate(self, system: SystemName, faults: SystemFaults, scope: Scope, receive: Receive, send: Send) -> None:
        deadly = faults.kill if faults.kill and faults.kill.request == self._since[system] else None
        unavailable, lost = self._random.random() < faults.unavailable, self._random.random() < faults.lost
        if faults.latency:
            await asyncio.sleep(faults.latency)
        if deadly and not deadly.after:
            self.kill()
        if unavailable:
            await _refuse(faults.retry_after, send)
        elif lost or deadly:
            await self.app(scope, receive, _nowhere)
            if deadly:
                self.kill()
            await _close(scope, receive)
        else:
            await self.app(scope, receive, send)


_NONE = SystemFaults()


class ClosableProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with the ``CLOSE`` extension in each request's scope."""

    def on_message_begin(self) -> None:
        """Begin a request's scope."""
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope["extensions"] = {CLOSE: {"close": self.transport.abort}}

    def shutdown(self) -> None:
        """Stop; a connection that nothing runs on does not wait for the other end to say goodbye."""
        idle = self.cycle is None or self.cycle.response_complete
        super().shutdown()
        if idle:
            self.transport.abort()


async def _close(scope: Scope, receive: Receive) -> None:
    extension = scope.get("extensions", {}).get(CLOSE)
    if extension is None:
        raise ConnectionResetError("the answer was lost: a fault of the sandbox")
    extension["close"]()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(retry_after: int, send: Send) -> None:
    body = b"The service is unavailable."
    headers = [
        (b"content-type", b"text/plain"),
        (b"retry-after", b"%d" % retry_after),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _nowhere(message: Message) -> None:
    """An answer that is lost."""


async def _body(receive: Receive) -> bytes:
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed
