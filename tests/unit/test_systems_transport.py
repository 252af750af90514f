from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from koppel.errors import ConfigError, OutcomeUnknownError, TransientError
from koppel.systems.transport import AsgiTransport, HttpTransport, Request

Handler = Callable[[bytes], bytes | None]


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port that is taken, and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    made = HttpTransport(timeout=0.5)
    yield made
    await made.close()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Handler], Awaitable[str]]]:
    """Starts a server that reads a request's head and answers what the handler says; ``None`` closes the connection."""
    servers: list[asyncio.Server] = []
    talks: list[asyncio.Event] = []

    async def start(handler: Handler) -> str:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            talks.append(over := asyncio.Event())
            head = await reader.readuntil(b"\r\n\r\n")
            if b"/silence" in head:
                await reader.read()  # until the client gives up
            elif reply := handler(head):
                writer.write(reply)
                await writer.drain()
            writer.close()
            over.set()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    yield start
    for over in talks:
        await over.wait()
    for server in servers:
        server.close()
        await server.wait_closed()


async def test_the_address_goes_over_the_wire_as_it_is(transport: HttpTransport, serve: Any) -> None:
    heads: list[bytes] = []

    def handler(head: bytes) -> bytes:
        heads.append(head)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Thing: 1\r\nConnection: close\r\n\r\nhi"

    url = await serve(handler)
    path = "/a('x')?$skiptoken=%3Ccookie%20a=%22b%22%2f!+'$select"
    answer = await transport.send(Request("GET", url + path, {"Prefer": "a"}))
    assert (answer.status, answer.body, answer.headers["x-thing"]) == (200, b"hi", "1")
    assert heads[0].splitlines()[0] == f"GET {path} HTTP/1.1".encode()


async def test_nobody_there_is_transient_and_names_the_address(transport: HttpTransport, deaf_port: int) -> None:
    with pytest.raises(TransientError, match=f"cannot reach http://127.0.0.1:{deaf_port}") as caught:
        await transport.send(Request("POST", f"http://127.0.0.1:{deaf_port}/x", {}, b"{}"))
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert "koppel.yaml" in caught.value.remedy


@pytest.mark.parametrize("path", ["/", "/silence"])
@pytest.mark.parametrize(("method", "unknown"), [("GET", False), ("POST", True), ("PATCH", True)])
async def test_no_answer(transport: HttpTransport, serve: Any, path: str, method: str, unknown: bool) -> None:
    url = await serve(lambda head: None)
    with pytest.raises(TransientError, match="did not answer") as caught:
        await transport.send(Request(method, url + path, {}, b"" if method == "GET" else b"{}"))
    assert isinstance(caught.value, OutcomeUnknownError) is unknown


def test_a_file_without_certificates_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("nothing")
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        HttpTransport(ca_file=empty)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    text = f"{scope['method']} {scope['path']} {scope['query_string'].decode()} ".encode() + message["body"]
    await send({"type": "http.response.start", "status": 201, "headers": [(b"X-Thing", b"1")]})
    await send({"type": "http.response.body", "body": text[:4], "more_body": True})
    await send({"type": "http.response.body", "body": text[4:]})


async def test_an_application_in_this_process() -> None:
    answer = await AsgiTransport(echo).send(Request("POST", "http://x:1/a%20b?$select=c", {}, b"body"))
    assert (answer.status, answer.body) == (201, b"POST /a b $select=c body")
    assert answer.headers == {"x-thing": "1"}


async def resets(scope: Any, receive: Any, send: Any) -> None:
    raise ConnectionResetError("gone")


async def says_nothing(scope: Any, receive: Any, send: Any) -> None:
    await receive()


@pytest.mark.parametrize("app", [resets, says_nothing])
async def test_an_application_that_does_not_answer(app: Any) -> None:
    with pytest.raises(OutcomeUnknownError, match="http://x"):
        await AsgiTransport(app).send(Request("POST", "http://x/", {}, b""))
    with pytest.raises(TransientError):
        await AsgiTransport(app).send(Request("GET", "http://x/", {}))
