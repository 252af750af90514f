"""The ASGI application: reads a request, asks who it is, counts it, and sends the answer in one piece."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from koppel.errors import FilterError
from koppel.odata.batch import Part
from koppel.sandbox.dataverse import batch, errors
from koppel.sandbox.dataverse.addresses import follow, segments_of
from koppel.sandbox.dataverse.dispatch import handle
from koppel.sandbox.dataverse.messages import Request, Response, error_response, read_options, read_preferences
from koppel.sandbox.dataverse.privileges import admit, impersonate
from koppel.sandbox.dataverse.query import filter_refusal
from koppel.sandbox.dataverse.service import Caller, Dataverse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Identify = Callable[[str], str | None]
"""From an ``Authorization`` header to the ``systemuserid`` of the caller; None when it is nobody's."""

_ROOT = re.compile(r"/api/data/v9\.[0-2]/?")
_OTHER_METADATA = re.compile(r"odata\.metadata=(full|none)")
_MAX_ADDRESS = 32_768
_MAX_ADDRESS_IN_BATCH = 65_536
_ANY_TENANT = "common"

_log = logging.getLogger(__name__)


class DataverseApp:
    """Serves one organisation below ``/api/data/v9.0``, ``v9.1`` and ``v9.2``."""

    def __init__(self, dataverse: Dataverse, caller: Identify) -> None:
        self._dataverse = dataverse
        self._caller = caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the sandbox does not speak {scope['type']}")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        body = await _read_body(receive)
        user = self._caller(headers.get("authorization", ""))
        response = (
            self._unauthorized(scope, headers) if user is None else await self._counted(user, scope, headers, body)
        )
        await _send(send, response)

    async def _counted(self, user: str, scope: Scope, headers: Mapping[str, str], body: bytes) -> Response:
        limits = self._dataverse.limits
        try:
            limits.enter(user)
        except errors.ServiceError as error:
            return _with(error_response(error), limits.headers(user))
        begin = time.perf_counter()
        try:
            if limits.service_seconds:
                await asyncio.sleep(limits.service_seconds)
            response = await self._dataverse.webhooks.answer(lambda: self._answer(user, scope, headers, body))
        finally:
            limits.leave(user, time.perf_counter() - begin)
        return _with(response, limits.headers(user))

    def _answer(self, user: str, scope: Scope, headers: Mapping[str, str], body: bytes) -> Response:
        try:
            return self._respond(user, scope, headers, body)
        except errors.ServiceError as error:
            return error_response(error, read_preferences(headers.get("prefer", "")))
        except FilterError as error:
            return error_response(filter_refusal(error))
        except Exception:
            _log.exception("the simulated Dataverse failed at %s %s", scope["method"], scope["path"])
            return error_response(errors.ServiceError(500, "0x80040216", "An unexpected error occurred."))

    def _respond(self, user: str, scope: Scope, headers: Mapping[str, str], body: bytes) -> Response:
        path, query = _path(scope), scope["query_string"].decode("latin-1")
        found = _ROOT.match(path)
        if found is None:
            raise errors.no_segment(path.strip("/").partition("/")[0])
        if len(path) + len(query) > _MAX_ADDRESS:
            raise errors.bad_query(f"The address is longer than {_MAX_ADDRESS} characters.")
        if _OTHER_METADATA.search(headers.get("accept", "")):
            raise errors.not_implemented("any other odata.metadata than minimal")
        admit(self._dataverse, user)
        origin = _origin(scope, headers)
        base = f"{origin}{found[0].rstrip('/')}/"
        caller = Caller(*impersonate(self._dataverse, user, headers))
        is_batch = path[found.end() :] == "$batch"
        request = Request(
            method=scope["method"],
            base=base,
            url=f"{origin}{path}" + (f"?{query}" if query else ""),
            segments=["$batch"] if is_batch else segments_of(path[found.end() :]),
            options={} if is_batch else read_options(query),
            headers=headers,
            body=body,
            caller=caller,
        )
        if not is_batch:
            return handle(self._dataverse, request)
        if request.method != "POST":
            raise errors.ServiceError(405, "0x80060888", "$batch takes only POST requests.")
        return batch.run(self._dataverse, request, lambda part, references: self._part(request, part, references))

    def _part(self, outer: Request, part: Part, references: Mapping[str, str]) -> Response:
        """One request of a batch: identity and address come from the outer one."""
        if len(part.url) > _MAX_ADDRESS_IN_BATCH:
            raise errors.bad_query(f"The address is longer than {_MAX_ADDRESS_IN_BATCH} characters.")
        url = _absolute(outer.base, follow(part.url, references) if part.url.startswith("$") else part.url)
        pieces = urlsplit(url)
        found = _ROOT.search(pieces.path)
        if found is None:
            raise errors.no_segment(pieces.path)
        segments = segments_of(pieces.path[found.end() :])
        if segments[0] == "$batch":
            raise errors.bad_query("A batch cannot hold a batch.")
        request = Request(
            method=part.method,
            base=outer.base,
            url=url,
            segments=segments,
            options=read_options(pieces.query),
            headers=part.headers,
            body=part.body,
            caller=outer.caller,
            references=references,
        )
        try:
            return handle(self._dataverse, request)
        except FilterError as error:
            raise filter_refusal(error) from error

    def _unauthorized(self, scope: Scope, headers: Mapping[str, str]) -> Response:
        origin = _origin(scope, headers)
        authority = f"{scope['scheme']}://{urlsplit(origin).netloc}/{_ANY_TENANT}/oauth2/authorize"
        challenge = f"Bearer authorization_uri={authority}, resource_id={origin}/"
        return Response(401, headers={"WWW-Authenticate": challenge})


def dataverse_app(dataverse: Dataverse, caller: Identify | None = None) -> DataverseApp:
    """The application of an organisation. Without ``caller`` the tokens are those of ``dataverse.users_by_token``."""

    def by_token(authorization: str) -> str | None:
        scheme, _, token = authorization.partition(" ")
        return dataverse.users_by_token.get(token.strip()) if scheme.lower() == "bearer" else None

    return DataverseApp(dataverse, caller or by_token)


def _path(scope: Scope) -> str:
    """The path below the place where the application is mounted, as it was sent."""
    raw = scope.get("raw_path")
    path: str = scope["path"] if raw is None else raw.decode("latin-1").partition("?")[0]
    return path.removeprefix(scope.get("root_path", ""))


def _origin(scope: Scope, headers: Mapping[str, str]) -> str:
    """Scheme, host and root path, as the client sees them."""
    host = headers.get("host") or "{}:{}".format(*scope["server"])
    return f"{scope['scheme']}://{host}{scope.get('root_path', '')}"


def _absolute(base: str, url: str) -> str:
    """A part's address: absolute, from the host on, or below the service root."""
    if "://" in url:
        return url
    if url.startswith("/"):
        pieces = urlsplit(base)
        return f"{pieces.scheme}://{pieces.netloc}{url}" if "/api/data/" in url else base + url.lstrip("/")
    return base + url


def _with(response: Response, headers: Mapping[str, str]) -> Response:
    response.headers = {**response.headers, **headers}
    return response


async def _read_body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    chunks = [body]
    while message.get("more_body"):
        message = await receive()
        chunks.append(message.get("body", b""))
    return b"".join(chunks)


async def _send(send: Send, response: Response) -> None:
    request_id = str(uuid4())
    headers = {
        "OData-Version": "4.0",
        "x-ms-service-request-id": request_id,
        "REQ_ID": request_id,
        **response.headers,
    }
    if response.status not in (204, 304):
        headers["Content-Length"] = str(len(response.body))
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": raw})
    await send({"type": "http.response.body", "body": response.body})
