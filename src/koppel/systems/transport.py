"""The one seam to the network: send a request, get a response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec


class Request(msgspec.Struct, frozen=True):
    """An HTTP request: absolute ``url`` exactly as it goes over the wire, headers, body bytes."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


class Response(msgspec.Struct, frozen=True):
    """An HTTP response: status, headers with lower-case names, body bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """Sends requests. ``TransientError`` when the system cannot be reached; ``OutcomeUnknownError`` when the request
    went out and no answer came."""

    async def send(self, request: Request) -> Response:
        """Send one request."""

    async def close(self) -> None:
        """Give back connections."""
