"""The routes under ``/sandbox/``: what the sandbox is told and asked apart from being two systems. They need no token.

| route | says | takes |
| --- | --- | --- |
| ``/sandbox/state`` | requests and rows of each system, seconds since the start | |
| ``/sandbox/faults`` | the faults of the moment | PUT: other faults |
| ``/sandbox/limits`` | the throttling of the moment | PUT: other limits |
| ``/sandbox/privileges`` | what users of Dataverse may not do (``{user id: ["prvReadAccount"]}``) | PUT: other ones |
| ``/sandbox/invoices`` | how many posted invoices are open, paid ... | POST ``{"pay": number}``: one of them |
| ``/sandbox/webhooks`` | how changes are told | PUT: ``{"delay": 0.1}`` seconds until Business Central does ... |
| ``/sandbox/clock`` | the time | POST ``{"advance": seconds}``; PUT ``{"dataverse": seconds}``: one goes wrong |
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from koppel.sandbox.business_central.invoices import Invoices
from koppel.sandbox.business_central.subscriptions import Subscriptions, Timing
from koppel.sandbox.clock import Clock, SystemClock
from koppel.sandbox.dataverse.webhooks import Webhooks
from koppel.sandbox.faults import FaultMiddleware, Faults, SystemName
from koppel.sandbox.limits import SystemLimits, Throttling


class Advance(msgspec.Struct, forbid_unknown_fields=True):
    """How far to move the clock, in seconds."""

    advance: float


class InvoiceChange(msgspec.Struct, forbid_unknown_fields=True):
    """What becomes of a posted invoice, by its number: some ``amount`` of it is paid, or payments are unapplied, or it
    is cancelled."""

    pay: str = ""
    amount: float | None = None
    unapply: str = ""
    prepay: str = ""
    cancel: str = ""


def control_routes(
    faults: FaultMiddleware,
    clock: Clock,
    clocks: Mapping[SystemName, SystemClock],
    throttling: Throttling,
    rows: Callable[[], Mapping[SystemName, Mapping[str, int]]],
    missing_privileges: dict[str, set[str]],
    invoices: Invoices,
    subscriptions: Subscriptions,
    webhooks: Webhooks,
) -> list[Route]:
    """The routes; ``rows`` counts the rows of every table of both systems; ``missing_privileges``: Dataverse's own."""
    began = time.monotonic()

    def state() -> dict[str, Any]:
        traffic = faults.traffic
        said: dict[str, Any] = {"seconds": round(time.monotonic() - began, 3)}
        for name, tables in rows().items():
            said[name] = {**msgspec.to_builtins(traffic[name]), "rows": tables}
        return said

    def set_faults(body: bytes) -> None:
        faults.set(msgspec.json.decode(body, type=Faults))

    def set_limits(body: bytes) -> None:
        throttling.set(msgspec.json.decode(body, type=SystemLimits))

    def show_timing() -> dict[str, Any]:
        told = {"steps": len(webhooks.steps), "posted": webhooks.posted, "failed": webhooks.failed}
        return {**msgspec.structs.asdict(subscriptions.timing), "subscriptions": len(subscriptions.all), **told}

    def set_timing(body: bytes) -> None:
        subscriptions.timing = msgspec.json.decode(body, type=Timing)

    def advance(body: bytes) -> None:
        clock.advance(msgspec.json.decode(body, type=Advance).advance)

    def set_wrong(body: bytes) -> None:
        for name, seconds in msgspec.json.decode(body, type=dict[SystemName, float]).items():
            clocks[name].ahead = seconds

    def tell_time() -> dict[str, Any]:
        return {"now": clock().isoformat(), "ahead": {name: own.ahead for name, own in clocks.items()}}

    def take_away(body: bytes) -> None:
        taken = msgspec.json.decode(body, type=dict[str, set[str]])
        missing_privileges.clear()
        missing_privileges.update(taken)

    def change_invoice(body: bytes) -> None:
        change = msgspec.json.decode(body, type=InvoiceChange)
        named = [number for number in (change.pay, change.unapply, change.cancel, change.prepay) if number]
        if len(named) != 1:
            raise ValueError(
                "say one of pay, unapply and cancel, with the number of a posted invoice, or prepay with an order's"
            )
        if change.pay:
            invoices.pay(change.pay, change.amount)
        elif change.unapply:
            invoices.unapply(change.unapply)
        elif change.cancel:
            invoices.cancel(change.cancel)
        else:
            invoices.prepay(change.prepay)

    return [
        _route("/sandbox/state", state),
        _route("/sandbox/invoices", invoices.count, POST=change_invoice),
        _route("/sandbox/privileges", lambda: missing_privileges, PUT=take_away),
        _route("/sandbox/faults", lambda: faults.faults, PUT=set_faults),
        _route("/sandbox/limits", throttling.get, PUT=set_limits),
        _route("/sandbox/webhooks", show_timing, PUT=set_timing),
        _route("/sandbox/clock", tell_time, POST=advance, PUT=set_wrong),
    ]


def _route(path: str, show: Callable[[], object], **take: Callable[[bytes], None]) -> Route:
    """A route that shows something, and shows it again after each change."""

    async def answer(request: Request) -> Response:
        if request.method in take:
            try:
                take[request.method](await request.body())
            except (ValueError, msgspec.DecodeError) as error:
                return _json({"error": str(error)}, 400)
        return _json(show())

    return Route(path, answer, methods=["GET", *take])


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
