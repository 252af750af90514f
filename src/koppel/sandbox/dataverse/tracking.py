"""Change tracking: a first full read that ends with a delta link, and what has changed since such a link."""

from __future__ import annotations

import re
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from koppel.sandbox.dataverse import errors
from koppel.sandbox.dataverse.messages import Request, Response, json_response
from koppel.sandbox.dataverse.paging import read_cookie, with_option
from koppel.sandbox.dataverse.query import MAX_PAGE, read_plan
from koppel.sandbox.dataverse.reading import next_link, shown_rows
from koppel.sandbox.dataverse.schema import TableSchema

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Dataverse

_TOKEN = re.compile(r"(\d+)!(.+)")
_TIME = "%m/%d/%Y %H:%M:%S"
_DAYS = 7
_OPTIONS = frozenset({"$select", "$skiptoken", "$deltatoken"})


def is_tracked(request: Request) -> bool:
    """Whether a read of a list asks for changes."""
    cookie = read_cookie(request.options.get("$skiptoken"))
    return request.prefer.track_changes or "$deltatoken" in request.options or cookie.version is not None


def read_tracked(dataverse: Dataverse, table: TableSchema, request: Request) -> Response:
    """A page of the first read, or of the changes since a delta link."""
    if table.name not in dataverse.tracked:
        text = f"Entity {table.name} isn't enabled for change tracking."
        raise errors.ServiceError(400, "0x80072491", text)
    for name in sorted(request.options.keys() - _OPTIONS):
        raise errors.bad_query(f'The "{name}" query parameter isn\'t supported when Change Tracking is enabled.')
    if "$deltatoken" in request.options:
        return _changes(dataverse, table, request)
    return _first_read(dataverse, table, request)


def _first_read(dataverse: Dataverse, table: TableSchema, request: Request) -> Response:
    plan = read_plan(dataverse, table, request)
    cookie = read_cookie(request.options.get("$skiptoken"))
    version = dataverse.store.version if cookie.version is None else cookie.version
    size = request.prefer.page_size or MAX_PAGE
    stored = dataverse.tables[table.name]
    keys = stored.ordered()
    begin = bisect_right(keys, cookie.last)
    rows = [stored.rows[key] for key in keys[begin : begin + size]]
    content: dict[str, Any] = {
        "@odata.context": request.context(f"{table.set_name}{plan.shape}"),
        "value": shown_rows(dataverse, plan, request, rows),
    }
    if begin + size < len(keys):
        content["@odata.nextLink"] = next_link(request, table, cookie, rows, version)
    else:
        content["@odata.deltaLink"] = _delta_link(dataverse, request, version)
    return _answer(request, content)


def _changes(dataverse: Dataverse, table: TableSchema, request: Request) -> Response:
    """Changed rows by version, then deletions. A page's token goes on where the page ended, up to a fixed version."""
    since = _read_token(dataverse, request.options["$deltatoken"])
    cookie = read_cookie(request.options.get("$skiptoken"))
    until = dataverse.store.version if cookie.version is None else cookie.version
    plan = read_plan(dataverse, table, request)
    stored = dataverse.tables[table.name]
    size = request.prefer.page_size or MAX_PAGE
    from_version = since if not cookie.last else int(cookie.last)
    changed = [stored.rows[key] for key in stored.changed_since(from_version + 1)]
    changed = [row for row in changed if row["versionnumber"] <= until]
    context = request.context(f"{table.set_name}{plan.shape}/$delta")
    value = shown_rows(dataverse, plan, request, changed[:size])
    if len(changed) > size:
        link = next_link(request, table, cookie, [{table.id_column: str(changed[size - 1]["versionnumber"])}], until)
        token = quote(request.options["$deltatoken"], safe="")
        link += f"&$deltatoken={token}"
        return _answer(request, {"@odata.context": context, "value": value, "@odata.nextLink": link})
    gone = [key for key in stored.deleted_since(since + 1) if stored.tombstones[key] <= until]
    deleted = request.context(f"{table.set_name}/$deletedEntity")
    value += [{"@odata.context": deleted, "id": key, "reason": "deleted"} for key in gone]
    link = _delta_link(dataverse, request, until)
    return _answer(request, {"@odata.context": context, "value": value, "@odata.deltaLink": link})


def count_changes(dataverse: Dataverse, table: TableSchema, request: Request) -> Response:
    """``GET set/$count?$deltatoken=…``: the number of changes."""
    since = _read_token(dataverse, request.options["$deltatoken"])
    stored = dataverse.tables[table.name]
    number = len(stored.changed_since(since + 1)) + len(stored.deleted_since(since + 1))
    return Response(200, f"\ufeff{number}".encode(), {"Content-Type": "text/plain"})


def _answer(request: Request, content: dict[str, Any]) -> Response:
    applied = request.prefer.applied()
    return json_response(200, content, {"Preference-Applied": applied} if applied else {})


def _delta_link(dataverse: Dataverse, request: Request, version: int) -> str:
    token = f"{version}!{dataverse.clock().astimezone(UTC).strftime(_TIME)}"
    return with_option(request.url, "$deltatoken", quote(token, safe=""))


def _read_token(dataverse: Dataverse, text: str) -> int:
    """The version in a token. 400 when it is none of ours or older than the organisation keeps deletions."""
    found = _TOKEN.fullmatch(text)
    try:
        issued = datetime.strptime(found[2], _TIME).replace(tzinfo=UTC) if found else None
    except ValueError:
        issued = None
    if found is None or issued is None or int(found[1]) > dataverse.store.version:
        raise errors.bad_query(f"The delta token '{text}' is not valid.")
    days = dataverse.organization.get("expirechangetrackingindays")
    if dataverse.clock() - issued > timedelta(days=_DAYS if days is None else days):
        text = "Version stamp associated with the client has expired. Please perform a full sync."
        raise errors.ServiceError(400, "0x80044352", text)
    return int(found[1])
