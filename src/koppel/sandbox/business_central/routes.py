"""From an address to what answers it."""

from __future__ import annotations

import re

from koppel.catalogue.pages import COMPANIES, NAMESPACE, Page
from koppel.odata.literals import is_guid
from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.calls import Call, Reply, Segment, split_path
from koppel.sandbox.business_central.company import BusinessCentral, Company, Right
from koppel.sandbox.business_central.figures import Figures
from koppel.sandbox.business_central.metadata import metadata, service_document
from koppel.sandbox.business_central.paging import count, source_of
from koppel.sandbox.business_central.query import navigate, read_query
from koppel.sandbox.business_central.read import collection, read_count, read_navigation, read_row, read_set
from koppel.sandbox.business_central.rows import company_writer
from koppel.sandbox.business_central.write import create_row, delete_row, run_action, update_row
from koppel.sandbox.tables import Row

_RIGHTS: dict[str, Right] = {"GET": "read", "POST": "insert", "PATCH": "modify", "DELETE": "delete"}
_COMPANY_KEY = re.compile(r"(id|name|businessProfileId)\s*=\s*(?:'((?:[^']|'')*)'|([0-9a-fA-F-]{36}))")
RUNTIME = "microsoft/runtime/beta"
_SUPPORTED = "webhookSupportedResources"
_PLATFORM = frozenset({"entityDefinitions", _SUPPORTED})


def answer(system: BusinessCentral, call: Call) -> Reply:
    """Carry out a request, whole or not at all. Errors become replies."""
    try:
        reply = _dispatch(system, call)
    except errors.ServiceError as refusal:
        call.journal.undo()
        return Reply(refusal.status, refusal.body(), refusal.headers)
    except Exception:
        call.journal.undo()
        raise
    if call.outer is not None:
        call.outer.take_over(call.journal)
    else:
        system.subscriptions.note(call.journal)
    return reply


def _dispatch(system: BusinessCentral, call: Call) -> Reply:
    segments = split_path(call.path)
    if call.method not in _RIGHTS:
        raise errors.method_not_allowed(call.method, call.path)
    if call.method != "GET" and call.headers.get("data-access-intent", "").lower() == "readonly":
        raise errors.bad_request("Data-Access-Intent ReadOnly does not allow a write.")
    if call.route == RUNTIME:
        return _runtime(system, call, segments)
    if not segments:
        return Reply(200, service_document(system.catalogue, call.route, call.root))
    first = segments[0]
    if first.name == "$metadata":
        return Reply(200, metadata(system.catalogue, call.route), {"content-type": "application/xml"})
    if first.name in _PLATFORM:
        raise errors.not_implemented(first.name)
    if first.name != COMPANIES:
        return _in_company(system, call, _named_company(system, call), segments)
    if len(segments) == 1 or first.key is None:
        return _companies(system, call, segments)
    return _in_company(system, call, company_by_key(system, first.key), segments[1:])


def _runtime(system: BusinessCentral, call: Call, segments: tuple[Segment, ...]) -> Reply:
    """What the platform tells of itself: which pages have webhooks."""
    if [one.name for one in segments] != [COMPANIES, _SUPPORTED] or segments[0].key is None:
        raise errors.not_implemented(f"the address api/{RUNTIME}/{call.path}")
    if call.method != "GET":
        raise errors.method_not_allowed(call.method, _SUPPORTED)
    company_by_key(system, segments[0].key)
    return system.subscriptions.supported(call)


def _companies(system: BusinessCentral, call: Call, segments: tuple[Segment, ...]) -> Reply:
    page = system.catalogue.pages[call.route][COMPANIES]
    if call.method != "GET":
        raise errors.method_not_allowed(call.method, COMPANIES)
    query = read_query(system.catalogue, page, call.options, "")
    source = source_of(system.company_rows, query)
    write = company_writer(page, query.select)
    if segments[0].key is not None:
        row = system.company_rows.rows[company_by_key(system, segments[0].key).id]
        return Reply(200, {"@odata.context": f"{call.root}/$metadata#companies/$entity", **write(row)})
    if len(segments) == 1:
        return collection(system, call, query, source, write, COMPANIES)
    if segments[1].name == "$count":
        return Reply(200, str(count(source, query.filter)).encode(), {"content-type": "text/plain"})
    raise errors.no_segment(segments[1].name)


def company_by_key(system: BusinessCentral, key: str) -> Company:
    """The company with an id, or by an alternate key (``name='...'``)."""
    found = _COMPANY_KEY.fullmatch(key)
    name, value = ("id", key) if found is None else (found[1], found[3] or (found[2] or "").replace("''", "'"))
    if name == "id" and not is_guid(value):
        raise errors.bad_key(key)
    wanted = value.lower() if name == "id" else value
    for row in system.company_rows.rows.values():
        if row.get(name, "") == wanted:
            return system.companies[row["name"]]
    raise errors.no_company(value)


def _named_company(system: BusinessCentral, call: Call) -> Company:
    """The company that a query option or a header names, by name or id."""
    given = call.option("company") or call.headers.get("company") or ""
    named = given[1:-1] if len(given) > 1 and given[0] == given[-1] == "'" else given
    if named in system.companies:
        return system.companies[named]
    return next((company for company in system.companies.values() if company.id == named.lower()), None) or _none(given)


def _none(given: str) -> Company:
    raise errors.no_company(given)


def _in_company(system: BusinessCentral, call: Call, company: Company, segments: tuple[Segment, ...]) -> Reply:
    head, rest = segments[0], segments[1:]
    page = _page(system, call, head.name)
    if head.key is None:
        _check_right(system, call, page)
        return _on_set(system, call, company, page, rest)
    row = _row(system, company, page, head.key)
    if rest:
        return _below_row(system, call, company, page, row, rest)
    return _on_row(system, call, company, page, row)


def _on_row(system: BusinessCentral, call: Call, company: Company, page: Page, row: Row) -> Reply:
    _check_right(system, call, page)
    if call.method == "GET":
        return read_row(system, call, company, page, row)
    if call.method == "PATCH" and page.modify:
        return update_row(system, call, company, page, row)
    if call.method == "DELETE" and page.delete:
        return delete_row(system, call, company, page, row)
    raise errors.method_not_allowed(call.method, page.set_name)


def _page(system: BusinessCentral, call: Call, name: str) -> Page:
    page = system.catalogue.pages[call.route].get(name)
    if page is not None:
        return page
    if name in system.catalogue.unsupported:
        raise errors.not_implemented(f"the entity set {name}")
    raise errors.no_segment(name)


def _check_right(system: BusinessCentral, call: Call, page: Page, right: Right | None = None) -> None:
    missing, right = system.settings.missing.get(call.user), right or _RIGHTS[call.method]
    if missing and (page.set_name, right) in missing:
        raise errors.no_permission(page.table.caption, right)


def _on_set(system: BusinessCentral, call: Call, company: Company, page: Page, rest: tuple[Segment, ...]) -> Reply:
    if call.method == "GET" and not rest:
        return read_set(system, call, company, page)
    if call.method == "GET" and rest[0].name == "$count":
        return read_count(system, call, company, page)
    if rest:
        raise errors.no_segment(rest[0].name)
    if call.method == "POST" and page.insert:
        return create_row(system, call, company, page)
    raise errors.method_not_allowed(call.method, page.set_name)


def _row(system: BusinessCentral, company: Company, page: Page, key: str) -> Row:
    row_id = key.removeprefix(f"{page.key}=")
    if not is_guid(row_id):
        raise errors.bad_key(key)
    if page.table.computed:
        raise errors.dialog("id type not specified.")
    rows = Figures(company, system.today()) if page.table.of else company.stores[page.set_name].rows
    row = rows.get(row_id.lower())
    if row is None:
        raise errors.not_found(page.table.caption, f"SystemId='{row_id.lower()}'")
    return row


def _below_row(
    system: BusinessCentral, call: Call, company: Company, page: Page, row: Row, rest: tuple[Segment, ...]
) -> Reply:
    name = rest[0].name
    if name.startswith(NAMESPACE):
        return _act(system, call, company, page, row, name)
    if name not in page.fields and name not in page.navigation:
        raise errors.no_segment(name)
    step = page.navigation.get(name)
    if step is not None and step.child:
        return _on_lines(system, call, company, page, row, rest)
    if len(rest) > 1 or rest[0].key is not None:
        raise errors.not_implemented("addresses of more than one step below a row")
    if call.method != "GET":
        raise errors.not_implemented(f"{call.method} below a row ({name})")
    _check_right(system, call, page)
    return read_navigation(system, call, company, page, row, name)


def _act(system: BusinessCentral, call: Call, company: Company, page: Page, row: Row, name: str) -> Reply:
    """A bound action; names are matched without regard to case."""
    wanted = name.removeprefix(NAMESPACE).lower()
    action = next((action for action in page.actions if action.lower() == wanted), None)
    if action is None:
        raise errors.not_implemented(f"the action {name} on {page.set_name}")
    if call.method != "POST":
        raise errors.method_not_allowed(call.method, name)
    _check_right(system, call, page, "modify")
    return run_action(system, call, company, page, row, action)


def _on_lines(
    system: BusinessCentral, call: Call, company: Company, page: Page, row: Row, rest: tuple[Segment, ...]
) -> Reply:
    """What is addressed through the document that it belongs to."""
    step, lines = navigate(system.catalogue, page, rest[0].name)
    if rest[0].key is not None:
        line = _row(system, company, lines, rest[0].key)
        if line.get(step.child) != row["id"]:
            raise errors.not_found(lines.table.caption, f"SystemId='{line['id']}'")
        if len(rest) > 1:
            return _below_row(system, call, company, lines, line, rest[1:])
        return _on_row(system, call, company, lines, line)
    if len(rest) > 1:
        raise errors.no_segment(rest[1].name)
    _check_right(system, call, lines)
    if call.method == "GET":
        return read_navigation(system, call, company, page, row, rest[0].name)
    if call.method == "POST" and lines.insert:
        return create_row(system, call, company, lines, {step.child: row["id"]})
    raise errors.method_not_allowed(call.method, lines.set_name)
