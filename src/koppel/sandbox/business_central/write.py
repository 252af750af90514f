"""POST, PATCH and DELETE of rows, each a transaction of its own unless it is a part of a larger one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.calls import Call, Reply
from koppel.sandbox.business_central.company import BusinessCentral, Company
from koppel.sandbox.business_central.etag import check_tag, tag_reader
from koppel.sandbox.business_central.logic import LOGIC
from koppel.sandbox.business_central.logic.hooks import Logic
from koppel.sandbox.business_central.pages import Page
from koppel.sandbox.business_central.query import read_query
from koppel.sandbox.business_central.read import address_of, single
from koppel.sandbox.business_central.validate import assign, convert
from koppel.sandbox.business_central.work import Work
from koppel.sandbox.tables import Row

_NOTHING = Logic()
_NO_VALUES: Mapping[str, Any] = {}


def create_row(
    system: BusinessCentral, call: Call, company: Company, page: Page, given: Mapping[str, Any] = _NO_VALUES
) -> Reply:
    """POST of a row: 201 with the row and its address. ``given`` are values that the address says."""
    work, body = Work(system, company, call.user, call.journal), {**given, **call.json()}
    table = page.set_name
    logic = LOGIC.get(table, _NOTHING)
    row: Row = dict(page.table.initial)
    body = _take_id(system, page, row, body)
    assign(work, page, row, body)
    if logic.insert is not None:
        logic.insert(work, row)
    work.insert(table, row)
    if logic.inserted is not None:
        logic.inserted(work, row)
    row = company.stores[table].rows[row["id"]]
    location = f"{call.root}/{address_of(company, page)}({row['id']})"
    return _answer(system, call, company, page, row, 201, {"location": location})


def update_row(system: BusinessCentral, call: Call, company: Company, page: Page, row: Row) -> Reply:
    """PATCH of a row: 200 with the row as it is now."""
    check_tag(call.headers.get("if-match"), tag_reader(company, page)(row))
    work, body = Work(system, company, call.user, call.journal), call.json()
    if page.key in body:
        raise errors.read_only(page.key)
    changed = dict(row)
    assign(work, page, changed, body)
    if changed != row:
        work.modify(page.set_name, changed)
        modified = LOGIC.get(page.set_name, _NOTHING).modified
        if modified is not None:
            modified(work, row, company.stores[page.set_name].rows[row["id"]])
    return _answer(system, call, company, page, company.stores[page.set_name].rows[row["id"]], 200, {})


def delete_row(system: BusinessCentral, call: Call, company: Company, page: Page, row: Row) -> Reply:
    """DELETE of a row: 204. The tag is checked only when one is given."""
    if "if-match" in call.headers:
        check_tag(call.headers["if-match"], tag_reader(company, page)(row))
    work = Work(system, company, call.user, call.journal)
    logic = LOGIC.get(page.set_name, _NOTHING)
    if logic.delete is not None:
        logic.delete(work, row)
    work.delete(page.set_name, row["id"])
    if logic.deleted is not None:
        logic.deleted(work, row)
    return Reply(204)


def _take_id(system: BusinessCentral, page: Page, row: Row, body: dict[str, Any]) -> dict[str, Any]:
    """Put a client-chosen id into the new row, as the page or the settings have it; the rest of the body."""
    if "id" not in body:
        return body
    field, mode = page.fields["id"], system.settings.client_ids
    if not field.editable and mode == "refuse":
        raise errors.read_only("id")
    if field.editable or mode == "take":
        row["id"] = convert(field, body["id"])
        if row["id"] == field.empty:
            del row["id"]
    return {name: value for name, value in body.items() if name != "id"}


def _answer(
    system: BusinessCentral, call: Call, company: Company, page: Page, row: Row, status: int, headers: dict[str, str]
) -> Reply:
    if _wants_nothing(call):
        return Reply(204, None, headers)
    query = read_query(system.catalogue, page, call.options, company.local_currency)
    reply = single(call, company, page, query, row, status)
    reply.headers = headers
    return reply


def _wants_nothing(call: Call) -> bool:
    prefer = call.headers.get("prefer", "")
    return "return-no-content" in prefer or "return=minimal" in prefer
