"""POST, PATCH and DELETE of rows, each a transaction of its own unless it is a part of a larger one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from koppel.catalogue.pages import Page
from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.calls import Call, Reply
from koppel.sandbox.business_central.company import BusinessCentral, Company
from koppel.sandbox.business_central.etag import check_tag, tag_reader
from koppel.sandbox.business_central.logic import LOGIC
from koppel.sandbox.business_central.logic.hooks import Logic
from koppel.sandbox.business_central.query import navigate, read_query
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
    row_id = _create(work, page, body)["id"]
    location = f"{call.root}/{address_of(company, page)}({row_id})"
    return _answer(system, call, company, page, company.stores[page.set_name].rows[row_id], 201, {"location": location})


def _create(work: Work, page: Page, body: dict[str, Any]) -> Row:
    """A new row, and those below it that come in the same body (lines of a document)."""
    table, logic = page.set_name, LOGIC.get(page.set_name, _NOTHING)
    row: Row = dict(page.table.initial)
    below, body = _take_lines(work, page, _take_id(work.system, page, row, body))
    if logic.prepare is not None:
        logic.prepare(work, row, body)
    assign(work, page, row, body)
    if logic.insert is not None:
        logic.insert(work, row)
    work.insert(table, row)
    if logic.inserted is not None:
        logic.inserted(work, row)
    for lines, child, bodies in below:
        for line in bodies:
            _create(work, lines, {child: row["id"], **line})
    return row


def _take_lines(
    work: Work, page: Page, body: dict[str, Any]
) -> tuple[list[tuple[Page, str, list[dict[str, Any]]]], dict[str, Any]]:
    """The rows of a body that go below its own (page, field for its id, bodies), and the rest of the body."""
    below, rest = [], {}
    for name, value in body.items():
        step = page.navigation.get(name)
        if step is None or not step.child:
            rest[name] = value
            continue
        lines = navigate(work.system.catalogue, page, name)[1]
        if not lines.insert or not isinstance(value, list) or not all(isinstance(line, dict) for line in value):
            raise errors.bad_request(f"The property '{name}' must be an array of {lines.type_name}.")
        below.append((lines, step.child, value))
    return below, rest


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


def run_action(system: BusinessCentral, call: Call, company: Company, page: Page, row: Row, action: str) -> Reply:
    """A bound action without parameters: 204, with the address of what it made if the route shows it. A tag is
    checked when given."""
    if "if-match" in call.headers:
        check_tag(call.headers["if-match"], tag_reader(company, page)(row))
    if call.body and (given := call.json()):
        raise errors.bad_request(
            f"The parameter '{next(iter(given))}' in the request payload is not a valid parameter for the operation "
            f"'{action}'."
        )
    made = LOGIC[page.set_name].actions[action](Work(system, company, call.user, call.journal), row)
    known = made.partition("(")[0] in system.catalogue.pages[call.route]
    return Reply(204, None, {"location": f"{call.root}/companies({company.id})/{made}"} if known else {})


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
