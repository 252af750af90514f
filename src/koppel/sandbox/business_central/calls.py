"""A request and its answer, apart from HTTP: what single requests and the parts of a batch have in common."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote_plus

import msgspec
import orjson

from koppel.catalogue.pages import RouteName
from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.work import Journal

JSON = "application/json; odata.metadata=minimal; odata.streaming=true"

_SEGMENT = re.compile(r"([A-Za-z$_][\w.$]*)(?:\((.*)\))?", re.DOTALL)
_PLAIN = "$',()*:;"
_MAX_PAGE = re.compile(r"maxpagesize\s*=\s*(\d+)")


class Segment(msgspec.Struct, frozen=True):
    """A part of the path: ``name(key)``; ``key`` is None without parentheses."""

    name: str
    key: str | None = None


class Call(msgspec.Struct):
    """A request to one of the routes.

    ``root`` is the address of the route, ``path`` what follows it, decoded; ``options`` the query in order; ``headers``
    under lower-case names; ``body`` the bytes or, in a batch, the JSON value. ``journal`` is that of the request,
    ``outer`` that of the transaction that it is a part of.
    """

    method: str
    route: RouteName
    root: str
    path: str
    options: list[tuple[str, str]]
    headers: dict[str, str]
    body: Any
    user: str
    journal: Journal = msgspec.field(default_factory=Journal)
    outer: Journal | None = None

    @property
    def address(self) -> str:
        """The path as it stands in a URL."""
        return quote(self.path, safe="/()',=$")

    def option(self, name: str) -> str | None:
        """A query option."""
        return next((value for key, value in self.options if key == name), None)

    def json(self) -> dict[str, Any]:
        """The body as a JSON object."""
        body = self.body
        if isinstance(body, bytes):
            try:
                body = orjson.loads(body)
            except orjson.JSONDecodeError as error:
                raise errors.bad_request(f"The body is no valid JSON: {error}") from error
        if not isinstance(body, dict):
            raise errors.bad_request("The body must be a JSON object.")
        return body

    def page_size(self, largest: int) -> int:
        """Rows a page: what ``Prefer: odata.maxpagesize`` asks for, within bounds."""
        found = _MAX_PAGE.search(self.headers.get("prefer", ""))
        return min(int(found[1]), largest) if found and int(found[1]) else largest


class Reply(msgspec.Struct):
    """An answer. ``body``: an object for JSON, bytes as they are, None for nothing."""

    status: int
    body: Any = None
    headers: dict[str, str] = {}


@lru_cache(maxsize=8192)
def split_path(path: str) -> tuple[Segment, ...]:
    """The segments of a path. ``ServiceError`` for one that cannot be read."""
    return tuple(_segment(part) for part in split_outside(path, "/") if part)


def _segment(text: str) -> Segment:
    found = _SEGMENT.fullmatch(text)
    if found is None:
        raise errors.no_segment(text)
    return Segment(found[1], found[2])


def split_outside(text: str, sign: str) -> list[str]:
    """Split at a sign that stands neither in quotes nor in parentheses."""
    if "'" not in text and "(" not in text:
        return text.split(sign)
    parts, depth, quoted, start = [], 0, False, 0
    for position, letter in enumerate(text):
        if letter == "'":
            quoted = not quoted
        elif not quoted and letter in "()":
            depth += 1 if letter == "(" else -1
        elif letter == sign and not quoted and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]


def read_options(query: str) -> list[tuple[str, str]]:
    """The options of a query string, decoded, in order."""
    if not query:
        return []
    pairs = (part.partition("=") for part in query.split("&") if part)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]


def write_options(options: list[tuple[str, str]]) -> str:
    """A query string of options."""
    return "&".join(f"{quote(name, safe='$@')}={quote(value, safe=_PLAIN)}" for name, value in options)
