"""The simulated Business Central as an ASGI application."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from urllib.parse import unquote

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from koppel.catalogue.pages import RouteName
from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.batch import answer_batch
from koppel.sandbox.business_central.calls import JSON, Call, Reply, read_options
from koppel.sandbox.business_central.company import BusinessCentral
from koppel.sandbox.business_central.limits import Gate, too_large
from koppel.sandbox.business_central.routes import RUNTIME, answer

_ADDRESS = re.compile(
    r"/v2\.0/(?:[^/]+/)?[^/]+/(?P<api>api/v2\.0|api/microsoft/runtime/beta|api/[^/]+/[^/]+/v[0-9.]+|api|ODataV4|WS)(?=/|$)"
)
SUBSCRIPTIONS = "subscriptions"
_COMPANION: RouteName = "companion"
_METADATA = re.compile(r"odata\.metadata=(none|full)")


def business_central_app(business_central: BusinessCentral) -> ASGIApp:
    """An application that answers below ``/v2.0/{environment}/api/``; may be mounted anywhere."""
    gates: dict[str, Gate] = {}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(f"the sandbox does not speak {scope['type']}")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        body = await _body(receive)
        try:
            user = _user(business_central, headers)
            call = _call(business_central, scope, headers, body, user)
            async with AsyncExitStack() as stack:
                if business_central.settings.limits is not None:
                    gate = _gate(business_central, gates, user, body)
                    await stack.enter_async_context(gate.pass_through())
                if call.path.startswith(SUBSCRIPTIONS):  # these ask the receiver before they answer
                    reply = await business_central.subscriptions.answer(call)
                else:
                    reply = _answer(business_central, call)
        except errors.ServiceError as refusal:
            reply = Reply(refusal.status, refusal.body(), refusal.headers)
        await _send(send, reply)

    return app


def _answer(system: BusinessCentral, call: Call) -> Reply:
    return answer_batch(system, call) if call.path == "$batch" else answer(system, call)


def _user(system: BusinessCentral, headers: dict[str, str]) -> str:
    user = system.caller(headers.get("authorization"))
    if user is None:
        raise errors.unauthenticated()
    return user


def _gate(system: BusinessCentral, gates: dict[str, Gate], user: str, body: bytes) -> Gate:
    limits = system.settings.limits
    assert limits is not None
    if len(body) > limits.body:
        raise too_large(limits)
    gate = gates.get(user)
    if gate is None or gate.limits is not limits:
        gate = gates[user] = Gate(limits)
    return gate


def _call(business_central: BusinessCentral, scope: Scope, headers: dict[str, str], body: bytes, user: str) -> Call:
    mount = scope.get("root_path", "")
    path = scope.get("raw_path", scope["path"].encode()).decode("ascii", "replace").partition("?")[0]
    found = _ADDRESS.match(path.removeprefix(mount))
    if found is None:
        raise errors.no_segment(unquote(path).rstrip("/").rpartition("/")[2])
    name = found["api"].removeprefix("api/")
    route: RouteName = _COMPANION if name == "koppel/sync/v1.0" else name
    if route != RUNTIME and route not in business_central.catalogue.pages:
        raise errors.not_implemented(f"the address {found['api']}{path.removeprefix(mount)[found.end() :]}")
    _check_headers(scope["method"], headers)
    return Call(
        method=scope["method"],
        route=route,
        root=f"{scope['scheme']}://{headers.get('host', 'localhost')}{mount}{found[0]}",
        path=unquote(path.removeprefix(mount)[found.end() :]).strip("/"),
        options=read_options(scope["query_string"].decode("latin-1")),
        headers=headers,
        body=body,
        user=user,
    )


def _check_headers(method: str, headers: dict[str, str]) -> None:
    if found := _METADATA.search(headers.get("accept", "")):
        raise errors.not_implemented(f"odata.metadata={found[1]}")
    content = headers.get("content-type", "application/json")
    if method in ("POST", "PATCH") and not content.startswith(("application/json", "multipart/mixed")):
        raise errors.ServiceError(415, "BadRequest", f"The content type '{content}' is not supported.")


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    parts = [body]
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
    return b"".join(parts)


async def _send(send: Send, reply: Reply) -> None:
    headers = {"odata-version": "4.0", **reply.headers}
    if isinstance(reply.body, bytes):
        body = reply.body
    elif reply.body is None:
        body = b""
    else:
        body = orjson.dumps(reply.body)
        headers.setdefault("content-type", JSON)
    if reply.status != 204:
        headers["content-length"] = str(len(body))
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
