"""Reading rows: lists and pages, one row, a column, what a navigation property leads to."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from koppel.errors import FilterError
from koppel.sandbox.dataverse import errors
from koppel.sandbox.dataverse.expanding import expander
from koppel.sandbox.dataverse.messages import Request, Response, json_response
from koppel.sandbox.dataverse.paging import Cookie, read_cookie, with_option, write_cookie
from koppel.sandbox.dataverse.query import MAX_PAGE, Plan, filter_refusal, read_plan, sort_rows
from koppel.sandbox.dataverse.schema import Lookup, TableSchema
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Dataverse

COUNT_LIMIT = 5_000
_TOTAL = "Microsoft.Dynamics.CRM.totalrecordcount"
_EXCEEDED = "Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"


def read_list(dataverse: Dataverse, table: TableSchema, request: Request, within: list[str] | None = None) -> Response:
    """``GET set``, or the rows ``within`` a collection of another row."""
    plan = read_plan(dataverse, table, request)
    prefer = request.prefer
    cookie = read_cookie(request.options.get("$skiptoken"))
    limit = plan.top if prefer.page_size is None and plan.top is not None else None
    size = limit if limit is not None else prefer.page_size or MAX_PAGE
    try:
        rows = _page(dataverse, plan, cookie, size, within)
        content: dict[str, Any] = {"@odata.context": request.context(f"{table.set_name}{plan.shape}")}
        content |= _totals(dataverse, plan, request, within)
    except FilterError as error:
        raise filter_refusal(error) from error
    content["value"] = shown_rows(dataverse, plan, request, rows)
    if len(rows) == size and limit is None and (dataverse.empty_last_page or _has_more(dataverse, plan, rows, within)):
        content["@odata.nextLink"] = next_link(request, table, cookie, rows)
    return json_response(200, content, _applied(request))


def shown_rows(dataverse: Dataverse, plan: Plan, request: Request, rows: list[Row]) -> list[dict[str, Any]]:
    """Rows as the answer shows them."""
    write = dataverse.writers.writer(plan.table, plan.select, request.prefer)
    if not plan.expands:
        return [write(row) for row in rows]
    expand = expander(dataverse, plan.table, plan.expands, request)
    return [expand(row, write(row)) for row in rows]


def next_link(request: Request, table: TableSchema, cookie: Cookie, rows: list[Row], version: int | None = None) -> str:
    """The address of the page after these rows."""
    following = Cookie(cookie.number + 1, rows[-1][table.id_column], version)
    token = write_cookie(following, table.id_column, rows[0][table.id_column])
    return with_option(request.url, "$skiptoken", token)


def _page(dataverse: Dataverse, plan: Plan, cookie: Cookie, size: int, within: list[str] | None) -> list[Row]:
    if plan.order:
        found = _sorted(dataverse, plan, cookie, within)
        begin = _place(found, plan.table.id_column, cookie, size)
        return found[begin : begin + size]
    if plan.predicate is None and plan.ids is None and within is None:
        table = dataverse.tables[plan.table.name]
        keys = table.ordered()
        begin = bisect_right(keys, cookie.last)
        return [table.rows[key] for key in keys[begin : begin + size]]
    matching = _matching(dataverse, plan, cookie.last, within)
    return [row for _, row in zip(range(size), matching, strict=False)]


def _sorted(dataverse: Dataverse, plan: Plan, cookie: Cookie, within: list[str] | None) -> list[Row]:
    """All rows of a sorted query; kept from one page to the next as long as the table does not change."""
    version = dataverse.store.versions[plan.table.name]
    known, kept = dataverse.sorted_rows.get(plan.question, (0, []))
    if cookie.last and known == version and within is None:
        return kept
    found = sort_rows(list(_matching(dataverse, plan, "", within)), plan.order)
    if within is None:
        dataverse.sorted_rows.clear()  # one query at a time is what readers do
        dataverse.sorted_rows[plan.question] = (version, found)
    return found


def _place(rows: list[Row], id_column: str, cookie: Cookie, size: int) -> int:
    """Where a sorted page begins: after the row that the one before ended with, or by number when that has gone."""
    if not cookie.last:
        return 0
    expected = (cookie.number - 1) * size
    if 0 < expected <= len(rows) and rows[expected - 1][id_column] == cookie.last:
        return expected
    found = (place + 1 for place, row in enumerate(rows) if row[id_column] == cookie.last)
    return next(found, expected)


def _matching(dataverse: Dataverse, plan: Plan, after: str, within: list[str] | None) -> Iterator[Row]:
    """The rows that a plan finds, in key order, after a key."""
    rows = dataverse.tables[plan.table.name].rows
    keys = plan.ids if plan.ids is not None else within if within is not None else None
    if keys is None:
        keys = dataverse.tables[plan.table.name].ordered()
    elif within is not None and plan.ids is not None:
        keys = sorted(set(plan.ids) & set(within))
    fits = plan.predicate
    for place in range(bisect_right(keys, after), len(keys)):
        row = rows[keys[place]]
        if fits is None or fits(row):
            yield row


def _has_more(dataverse: Dataverse, plan: Plan, rows: list[Row], within: list[str] | None) -> bool:
    if plan.order:
        found = sort_rows(list(_matching(dataverse, plan, "", within)), plan.order)
        return found[-1] is not rows[-1]
    return next(_matching(dataverse, plan, rows[-1][plan.table.id_column], within), None) is not None


def count_rows(dataverse: Dataverse, plan: Plan, within: list[str] | None = None) -> int:
    """How many rows match, and one more than the limit when there are too many to count."""
    if plan.predicate is None and plan.ids is None and within is None:
        return min(len(dataverse.tables[plan.table.name].rows), COUNT_LIMIT + 1)
    return sum(1 for _ in zip(range(COUNT_LIMIT + 1), _matching(dataverse, plan, "", within), strict=False))


def _totals(dataverse: Dataverse, plan: Plan, request: Request, within: list[str] | None) -> dict[str, Any]:
    found = count_rows(dataverse, plan, within) if plan.count else -1
    total = min(found, COUNT_LIMIT)
    said: dict[str, Any] = {}
    if request.prefer.wants(_TOTAL):
        said[f"@{_TOTAL}"] = total
    if request.prefer.wants(_EXCEEDED):
        said[f"@{_EXCEEDED}"] = found > COUNT_LIMIT
    if plan.count:
        said["@odata.count"] = total
    return said


def read_count(dataverse: Dataverse, table: TableSchema, request: Request, within: list[str] | None = None) -> Response:
    """``GET set/$count``: a number in plain text, after a byte order mark."""
    plan = read_plan(dataverse, table, request)
    total = min(count_rows(dataverse, plan, within), COUNT_LIMIT)
    return Response(200, f"\ufeff{total}".encode(), {"Content-Type": "text/plain"})


def read_one(dataverse: Dataverse, table: TableSchema, key: str, request: Request) -> Response:
    """``GET set(key)``, with If-None-Match."""
    row = dataverse.tables[table.name].rows[key]
    plan = read_plan(dataverse, table, request)
    etag = row["@odata.etag"]
    if request.headers.get("if-none-match") == etag and not plan.expands and request.prefer.annotations is None:
        return Response(304, headers={"ETag": etag})
    return json_response(200, entity(dataverse, plan, request, row), {"ETag": etag, **_applied(request)})


def entity(dataverse: Dataverse, plan: Plan, request: Request, row: Row) -> dict[str, Any]:
    """One row as the whole answer."""
    context = request.context(f"{plan.table.set_name}{plan.shape}/$entity")
    return {"@odata.context": context, **shown_rows(dataverse, plan, request, [row])[0]}


def read_property(dataverse: Dataverse, table: TableSchema, key: str, name: str, request: Request) -> Response:
    """``GET set(key)/column``: the value, or no content."""
    row = dataverse.tables[table.name].rows[key]
    value = row.get(name)
    if value is None:
        return Response(204)
    context = request.context(f"{table.set_name}({key})/{name}")
    return json_response(200, {"@odata.context": context, "value": value})


def read_navigation(
    dataverse: Dataverse, table: TableSchema, key: str, lookup: Lookup, request: Request, *, reference: bool
) -> Response:
    """``GET set(key)/nav``: the row that a lookup points to, or only its address."""
    row = dataverse.tables[table.name].rows[key]
    value = row.get(lookup.column)
    targets = ("systemuser", "team") if lookup.target == "principal" else (lookup.target,)
    for name in targets:
        if value in dataverse.tables[name].rows:
            target = dataverse.schema.tables[name]
            if not reference:
                return read_one(dataverse, target, value, request)
            address = f"{request.base}{target.set_name}({value})"
            return json_response(200, {"@odata.context": request.context("$ref"), "@odata.id": address})
    return Response(204)


def read_references(dataverse: Dataverse, table: TableSchema, ids: list[str], request: Request) -> Response:
    """``GET set(key)/coll/$ref``: the addresses of the rows."""
    value = [{"@odata.id": f"{request.base}{table.set_name}({key})"} for key in ids]
    return json_response(200, {"@odata.context": request.context("Collection($ref)"), "value": value})


def total_record_count(dataverse: Dataverse, names: list[str], request: Request) -> Response:
    """``RetrieveTotalRecordCount``: how many rows tables have."""
    for name in names:
        if name not in dataverse.tables:
            raise errors.ServiceError(404, "0x80041102", f"The entity with a name = '{name}' was not found.")
    context = request.context("Microsoft.Dynamics.CRM.RetrieveTotalRecordCountResponse")
    values = [len(dataverse.tables[name].rows) for name in names]
    counts = {"Count": len(names), "IsReadOnly": False, "Keys": names, "Values": values}
    return json_response(200, {"@odata.context": context, "EntityRecordCountCollection": counts})


def _applied(request: Request) -> dict[str, str]:
    applied = request.prefer.applied()
    return {"Preference-Applied": applied} if applied else {}
