"""The one seam to the network: send a request, get a response.

``HttpTransport`` goes over the wire, ``AsgiTransport`` calls an application in the same process. Nothing above them
knows which it has.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import aiohttp
import msgspec
from yarl import URL

from koppel.errors import ConfigError, OutcomeUnknownError, RemoteError, TransientError


class Request(msgspec.Struct, frozen=True):
    """An HTTP request: absolute ``url`` exactly as it goes over the wire, headers, body bytes."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


class Response(msgspec.Struct, frozen=True):
    """An HTTP response: status, headers with lower-case names, body bytes. ``doubtful``: it answers a repeated request,
    and an earlier try may have been carried out."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    doubtful: bool = False


class Transport(Protocol):
    """Sends requests. ``TransientError`` when the system cannot be reached; ``OutcomeUnknownError`` when the request
    went out and no answer came."""

    async def send(self, request: Request) -> Response:
        """Send one request."""

    async def close(self) -> None:
        """Give back connections."""


class HttpTransport:
    """Over the wire, with one pool of connections. Proxy settings of the environment are not used.

    ``timeout`` in seconds is for a whole exchange, of which a large one takes minutes. ``ca_file`` is trusted
    besides the machine's own authorities.
    """

    def __init__(self, *, timeout: float = 600, connect_timeout: float = 30, ca_file: Path | None = None) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=connect_timeout)
        self._ssl = trusting(ca_file) if ca_file else True
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request) -> Response:
        """Send one request."""
        try:
            async with self._open().request(
                request.method,
                URL(request.url, encoded=True),
                data=request.body or None,
                headers=request.headers,
                allow_redirects=False,
            ) as answer:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Response(answer.status, headers, await answer.read())
        except aiohttp.ClientConnectorCertificateError as error:
            raise distrusted(request.url, str(error.certificate_error)) from error
        except aiohttp.ClientConnectorError as error:
            raise unreachable(request, str(error)) from error
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise no_answer(request, type(error).__name__) from error

    async def close(self) -> None:
        """Give back connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, ssl=self._ssl)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=self._timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


App = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]


class AsgiTransport:
    """In this process: calls an ASGI application. When that raises ``ConnectionError``, no answer came."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def send(self, request: Request) -> Response:
        """Send one request."""
        exchange = _Exchange(request)
        try:
            await self._app(exchange.scope(), exchange.receive, exchange.send)
        except ConnectionError as error:
            raise no_answer(request, type(error).__name__) from error
        if not exchange.status:
            raise no_answer(request, "no response")
        return Response(exchange.status, exchange.headers, b"".join(exchange.chunks))

    async def close(self) -> None:
        """Give back connections: there are none."""


class _Exchange:
    """One request and its response, as messages of ASGI."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._sent = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.chunks: list[bytes] = []

    def scope(self) -> dict[str, Any]:
        address = urlsplit(self._request.url)
        headers = {"host": address.netloc, "content-length": str(len(self._request.body)), **self._request.headers}
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self._request.method,
            "scheme": address.scheme,
            "path": unquote(address.path),
            "raw_path": address.path.encode(),
            "query_string": address.query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": (address.hostname, address.port or (443 if address.scheme == "https" else 80)),
        }

    async def receive(self) -> dict[str, Any]:
        if self._sent:
            await asyncio.sleep(3600)  # a client that stays connected: applications watch for its going
            return {"type": "http.disconnect"}
        self._sent = True
        return {"type": "http.request", "body": self._request.body, "more_body": False}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode().lower(): value.decode() for name, value in message.get("headers", ())}
        elif message["type"] == "http.response.body":
            self.chunks.append(message.get("body", b""))


def unreachable(request: Request, reason: str) -> TransientError:
    """The system could not be reached: nothing was sent."""
    error = TransientError(f"cannot reach {origin(request.url)}: {reason}")
    error.remedy = "check the address in koppel.yaml, that the system is running, and the network in between"
    return error


def distrusted(url: str, reason: str) -> RemoteError:
    """The system's certificate is not trusted; trying again does not help."""
    return RemoteError(
        f"the certificate of {origin(url)} is not trusted: {reason}",
        remedy="check the address; for a private certificate authority set ca_file in koppel.yaml",
    )


def no_answer(request: Request, reason: str) -> TransientError:
    """The request went out and nothing came back; for one that may write, what became of it is unknown."""
    kind = TransientError if request.method in {"GET", "HEAD"} else OutcomeUnknownError
    return kind(f"{origin(request.url)} did not answer a {request.method} request ({reason})")


def origin(url: str) -> str:
    """Scheme and host of an address."""
    address = urlsplit(url)
    return f"{address.scheme}://{address.netloc}"


def trusting(ca_file: Path) -> ssl.SSLContext:
    """TLS settings that trust a file's certificates besides the machine's own. ``ConfigError`` when it holds none."""
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"cannot read the certificates in {ca_file}: {error}", place=str(ca_file)) from error
    return context
