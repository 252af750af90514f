"""Requests and answers as the handlers see them, apart from the connection that brings them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import msgspec
import orjson

from koppel.sandbox.dataverse import errors

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller

JSON = "application/json; odata.metadata=minimal"
FORMATTED = "OData.Community.Display.V1.FormattedValue"
TARGET_TABLE = "Microsoft.Dynamics.CRM.lookuplogicalname"
NAVIGATION = "Microsoft.Dynamics.CRM.associatednavigationproperty"

_PREFERENCE = re.compile(r'\s*([\w.-]+)\s*(?:=\s*(?:"([^"]*)"|([^,]*)))?\s*(?:,|$)')
_OPTIONS = frozenset(
    {"$select", "$filter", "$orderby", "$top", "$count", "$expand", "$skiptoken", "$deltatoken", "$id"}
)
_UNSUPPORTED = frozenset({"$apply", "$search", "$format", "$levels", "$compute"})
_OTHER_QUERIES = frozenset({"fetchXml", "sql", "savedQuery", "userQuery"})


class Preferences(msgspec.Struct, frozen=True):
    """What the ``Prefer`` header asks for. ``annotations`` are patterns, None when the header names none."""

    representation: bool = False
    annotations: tuple[str, ...] | None = None
    page_size: int | None = None
    track_changes: bool = False
    continue_on_error: bool = False

    def wants(self, annotation: str) -> bool:
        """Whether an annotation is asked for; a star at the end stands for the rest."""
        return any(
            annotation == pattern or (pattern.endswith("*") and annotation.startswith(pattern[:-1]))
            for pattern in self.annotations or ()
        )

    def applied(self) -> str:
        """The value of ``Preference-Applied`` for reads."""
        said = []
        if self.page_size is not None:
            said.append(f"odata.maxpagesize={self.page_size}")
        if self.annotations is not None:
            said.append(f'odata.include-annotations="{",".join(self.annotations)}"')
        if self.track_changes:
            said.append("odata.track-changes")
        return ",".join(said)


class Request(msgspec.Struct):
    """A request below the service root.

    ``base`` is the absolute service root with its slash, ``url`` the absolute address that was asked for, ``options``
    the query by decoded name. ``references`` are the addresses that ``$1`` and its kin stand for in a change set.
    """

    method: str
    base: str
    url: str
    segments: list[str]
    options: dict[str, str]
    headers: Mapping[str, str]
    body: bytes
    caller: Caller
    references: Mapping[str, str] = {}

    @property
    def prefer(self) -> Preferences:
        """The preferences."""
        return read_preferences(self.headers.get("prefer", ""))

    def json(self) -> Any:
        """The body. 400 when it is not JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise errors.bad_body(f"The body is not JSON: {error}") from error

    def context(self, rest: str) -> str:
        """An ``@odata.context``."""
        return f"{self.base}$metadata#{rest}"


class Response(msgspec.Struct):
    """An answer: no body means no content."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = {}


@lru_cache(maxsize=256)
def read_preferences(header: str) -> Preferences:
    """The ``Prefer`` header; what is not known is ignored."""
    said: dict[str, str] = {}
    for name, quoted, plain in _PREFERENCE.findall(header):
        said[name.lower()] = quoted or plain.strip()
    size = said.get("odata.maxpagesize", "")
    annotations = said.get("odata.include-annotations")
    return Preferences(
        representation=said.get("return") == "representation",
        annotations=None if annotations is None else tuple(part.strip() for part in annotations.split(",")),
        page_size=max(1, min(int(size), 5000)) if size.isdigit() else None,
        track_changes="odata.track-changes" in said,
        continue_on_error="odata.continue-on-error" in said,
    )


def read_options(query: str) -> dict[str, str]:
    """The query by name, decoded: ``%24`` and ``+`` as well as ``$`` and ``%20``. 400 or 501 for what is not there."""
    options: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        options[unquote_plus(name)] = unquote_plus(value)
    for name in options:
        if name == "$skip":
            raise errors.bad_query("Skip Clause is not supported in CRM")
        if name in _OTHER_QUERIES or name in _UNSUPPORTED:
            raise errors.not_implemented(name)
        if name.startswith("$") and name not in _OPTIONS:
            raise errors.bad_query(f"The query parameter {name} is not supported.")
    return options


def json_response(status: int, content: object, headers: dict[str, str] | None = None) -> Response:
    """An answer with a JSON body."""
    return Response(status, orjson.dumps(content), {"Content-Type": JSON, **(headers or {})})


def error_response(error: errors.ServiceError, prefer: Preferences | None = None) -> Response:
    """The error object, with annotations when all of them are asked for."""
    content: dict[str, Any] = {"code": error.code, "message": error.message}
    if prefer is not None and prefer.wants("Microsoft.PowerApps.CDS.HelpLink"):
        link = f"http://go.microsoft.com/fwlink/?LinkID=398563&error=Microsoft.Crm.CrmException%3a{error.code[2:]}"
        content["@Microsoft.PowerApps.CDS.HelpLink"] = link
        content["@Microsoft.PowerApps.CDS.TraceText"] = ""
        content["@Microsoft.PowerApps.CDS.InnerError.Message"] = error.message
    return json_response(error.status, {"error": content}, dict(error.headers))
