"""Multipart ``$batch`` as Dataverse has it, written and read on both ends.

A request is a list of parts and change sets (lists of parts); an answer is a list of answers and, for a change set that
succeeded, a list of answers. Bodies are split as bytes: the standard library's e-mail parser takes 75 times as long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from koppel.errors import DataError

_T = TypeVar("_T")
_BOUNDARY = re.compile(r'boundary\s*=\s*(?:"([^"]+)"|([^\s;]+))', re.IGNORECASE)
_CRLF = b"\r\n"


class Part(msgspec.Struct, frozen=True):
    """A request inside a batch. Header names are in lower case after reading; ``content_id`` is empty when absent."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    content_id: str = ""


class Answer(msgspec.Struct, frozen=True):
    """An answer inside a batch."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    content_id: str = ""


def boundary_of(content_type: str) -> str:
    """The boundary that a ``multipart/mixed`` header names. ``DataError`` when it names none."""
    found = _BOUNDARY.search(content_type)
    if found is None or not content_type.lower().lstrip().startswith("multipart/mixed"):
        raise DataError(f"not a multipart/mixed batch with a boundary: {content_type!r}", status=400)
    return found[1] or found[2]


def encode_request(items: Sequence[Part | Sequence[Part]], boundary: str) -> bytes:
    """The body of a batch request; a sequence of parts becomes a change set."""
    return _encode(items, boundary, "changeset", _request_part)


def decode_request(body: bytes, content_type: str) -> list[Part | list[Part]]:
    """The parts and change sets of a batch request. ``DataError`` when it is malformed."""
    return _decode(body, content_type, _read_part)


def encode_answer(items: Sequence[Answer | Sequence[Answer]], boundary: str) -> bytes:
    """The body of a batch answer; a sequence of answers is that of a change set."""
    return _encode(items, boundary, "changesetresponse", _answer_part)


def decode_answer(body: bytes, content_type: str) -> list[Answer | list[Answer]]:
    """The answers of a batch, in order. ``DataError`` when it is malformed."""
    return _decode(body, content_type, _read_answer)


def _encode(items: Sequence[_T | Sequence[_T]], boundary: str, nested: str, write: Callable[[_T], bytes]) -> bytes:
    chunks: list[bytes] = []
    for number, item in enumerate(items):
        chunks.append(f"--{boundary}\r\n".encode())
        if isinstance(item, Sequence):
            inner = f"{nested}_{boundary.partition('_')[2] or boundary}_{number}"
            chunks.append(f'Content-Type: multipart/mixed; boundary="{inner}"\r\n\r\n'.encode())
            chunks.append(_encode(item, inner, nested, write))
        else:
            chunks.append(write(item))
        chunks.append(_CRLF)
    chunks.append(f"--{boundary}--\r\n".encode())
    return b"".join(chunks)


def _request_part(part: Part) -> bytes:
    return _http(f"{part.method} {part.url} HTTP/1.1", part.headers, part.body, part.content_id)


def _answer_part(answer: Answer) -> bytes:
    return _http(
        f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, '')}", answer.headers, answer.body, answer.content_id
    )


def _http(first: str, headers: Mapping[str, str], body: bytes, content_id: str) -> bytes:
    outer = f"Content-ID: {content_id}\r\n" if content_id else ""
    inner = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n{outer}\r\n{first}\r\n{inner}\r\n"
    return head.encode() + body


def _decode(
    body: bytes, content_type: str, read: Callable[[str, dict[str, str], bytes, str], _T]
) -> list[_T | list[_T]]:
    items: list[_T | list[_T]] = []
    for section in _sections(body, boundary_of(content_type)):
        headers, content = _split_head(section)
        kind = headers.get("content-type", "")
        if kind.lower().startswith("multipart/mixed"):
            items.append([_read_http(inner, read) for inner in _sections(content, boundary_of(kind))])
        else:
            items.append(_read_http(section, read))
    return items


def _sections(body: bytes, boundary: str) -> list[bytes]:
    """The texts between the boundary lines, without the line break that belongs to the boundary."""
    mark = f"--{boundary}".encode()
    pieces = (b"\n" + body).split(b"\n" + mark)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise DataError(f"the batch does not end with its boundary {boundary!r}", status=400)
    return [_without_line_ends(piece) for piece in pieces[1:-1]]


def _without_line_ends(piece: bytes) -> bytes:
    return piece.partition(b"\n")[2].removesuffix(b"\r")


def _read_http(section: bytes, read: Callable[[str, dict[str, str], bytes, str], _T]) -> _T:
    outer, content = _split_head(section)
    first, _, rest = content.partition(b"\n")
    inner, body = _split_head(rest)
    content_id = outer.get("content-id", "") or inner.get("content-id", "")
    return read(first.decode().strip(), inner, body, content_id)


def _split_head(text: bytes) -> tuple[dict[str, str], bytes]:
    """Headers up to the empty line, and what follows it."""
    if text.startswith((b"\r\n", b"\n")):
        return {}, text.partition(b"\n")[2]
    head, found, body = text.partition(b"\r\n\r\n")
    if not found:
        head, _, body = text.partition(b"\n\n")
    headers = {}
    for line in head.decode().splitlines():
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers, body


def _read_part(first: str, headers: dict[str, str], body: bytes, content_id: str) -> Part:
    method, _, rest = first.partition(" ")
    url, _, version = rest.rpartition(" ")  # official clients leave blanks in the address
    if not url or not version.startswith("HTTP/"):
        raise DataError(f"not a request line inside the batch: {first[:80]!r}", status=400)
    return Part(method, url.strip(), headers, body, content_id)


def _read_answer(first: str, headers: dict[str, str], body: bytes, content_id: str) -> Answer:
    words = first.split(maxsplit=2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
        raise DataError(f"not a status line inside the batch answer: {first[:80]!r}")
    return Answer(int(words[1]), headers, body, content_id)


_REASONS = {
    200: "OK",
    201: "Created",
    204: "No Content",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    412: "Precondition Failed",
    413: "Payload Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}
