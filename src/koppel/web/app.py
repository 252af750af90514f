"""The web application of ``koppel serve``: webhooks of both systems, health and readiness, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from koppel.config import Alerts
from koppel.errors import AuthenticationError, KoppelError, StoreError, UsageError
from koppel.jobs import webhooks
from koppel.jobs.alerts import keep_telling
from koppel.jobs.queues import is_lonely, queues
from koppel.jobs.webhooks import Inbox
from koppel.mapping.model import TableMapping
from koppel.odata.records import Side
from koppel.store import measures, overview, schedules, workers
from koppel.store.database import Database
from koppel.systems.system import Counters
from koppel.web import metrics

LARGEST_POST = 4_000_000
"""Bytes: 1,000 notifications of Business Central are a tenth of it, and Dataverse never sends more than 256 KB."""
_STATUS: tuple[tuple[type[KoppelError], int], ...] = ((AuthenticationError, 401), (UsageError, 400), (StoreError, 503))


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What the application works with. Without ``secret`` it takes no webhooks. ``worker``: the process that works
    beside it (``Worker.process``); ``alerts``: whom it tells what is wrong, also that nobody works."""

    database: Database
    mappings: Mapping[str, TableMapping]
    secret: str = ""
    worker: int | None = None
    alerts: Alerts | None = None


class Said(msgspec.Struct, kw_only=True):
    """What the worker says that works beside it: Koppel's own users in Dataverse, nobody as long as it does not know
    them, and what it sent to either system."""

    own_users: frozenset[str] = frozenset()
    sent: dict[Side, Counters] = {}


def build_app(served: Served, said: Said) -> Starlette:
    """The application."""
    tables = webhooks.concerned(served.mappings)
    inbox = Inbox(served.database)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        telling = asyncio.create_task(keep_telling(served.database.connect, served.alerts, served.mappings))
        yield
        telling.cancel()
        await inbox.close()

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        async with served.database.connect() as connection:
            alive = await workers.alive(connection)
        if served.worker is None or any(worker.process == served.worker for worker in alive):
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "its worker gives no sign of life"}, status_code=503)

    async def working(request: Request) -> Response:
        async with served.database.connect() as connection:
            found = await queues(connection, served.mappings)
        lonely = any(is_lonely(one) for one in found)
        told = {one.queue: {"workers": one.workers, "mappings": len(one.mappings)} for one in found}
        status = "a queue has no worker" if lonely else "working"
        return JSONResponse({"status": status, "queues": told}, status_code=503 if lonely else 200)

    async def measured(request: Request) -> Response:
        async with served.database.connect() as connection:
            found = await measures.measure(connection)
            numbers = await overview.numbers(connection, list(served.mappings))
            entries = await schedules.entries(connection)
            waiting = await queues(connection, served.mappings)
        page = metrics.page(found, numbers, entries.values(), waiting, said.sent)
        return PlainTextResponse(page, headers={"content-type": metrics.CONTENT_TYPE})

    async def business_central(request: Request) -> Response:
        token = request.query_params.get("validationToken")
        if token is not None:
            return PlainTextResponse(token)
        told = webhooks.told_by_business_central(await _body(request), served.secret, tables)
        await inbox.take(told)
        return Response(status_code=204)

    async def dataverse(request: Request) -> Response:
        header = request.headers.get(webhooks.SECRET_HEADER, "")
        body = await _body(request)
        told = webhooks.told_by_dataverse(body, header, served.secret, said.own_users, tables)
        await inbox.take(told)
        return Response(status_code=204)

    taken = [
        Route("/webhooks/business-central", business_central, methods=["GET", "POST"]),
        Route("/webhooks/dataverse", dataverse, methods=["POST"]),
    ]
    always = {"/health": health, "/ready": ready, "/working": working, "/metrics": measured}
    return Starlette(
        routes=[Route(path, answer) for path, answer in always.items()] + (taken if served.secret else []),
        exception_handlers={KoppelError: _refused},
        lifespan=lifespan,
    )


async def _body(request: Request) -> bytes:
    if int(request.headers.get("content-length") or 0) > LARGEST_POST:
        raise UsageError("the post is too large")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_POST:
            raise UsageError("the post is too large")
    return body


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, KoppelError)
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    return JSONResponse({"error": error.message}, status_code=status)
