"""Answers to GET: collections, single rows, counts, streams, and what rows lead to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from koppel.catalogue.pages import Navigation, Page
from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.calls import Call, Reply, write_options
from koppel.sandbox.business_central.company import BusinessCentral, Company
from koppel.sandbox.business_central.figures import source_with_figures
from koppel.sandbox.business_central.information import information_by_filter, information_of
from koppel.sandbox.business_central.paging import Source, count, rows_of_page, source_among, source_of, token_after
from koppel.sandbox.business_central.query import Expand, Query, navigate, read_query
from koppel.sandbox.business_central.rows import Shown, Writer, row_writer, streams_of
from koppel.sandbox.business_central.store import Store
from koppel.sandbox.tables import Row


def read_set(system: BusinessCentral, call: Call, company: Company, page: Page) -> Reply:
    """GET of an entity set."""
    query = _query(system, call, company, page)
    source = _source(system, company, page, query)
    return collection(system, call, query, source, full_writer(call, company, page, query), _place(company, page))


def read_count(system: BusinessCentral, call: Call, company: Company, page: Page) -> Reply:
    """GET of a set's ``/$count``: plain text."""
    query = _query(system, call, company, page)
    number = count(_source(system, company, page, query), query.filter)
    return Reply(200, str(number).encode(), {"content-type": "text/plain"})


def read_row(system: BusinessCentral, call: Call, company: Company, page: Page, row: Row) -> Reply:
    """GET of a single row."""
    query = _query(system, call, company, page)
    return single(call, company, page, query, row)


def read_navigation(system: BusinessCentral, call: Call, company: Company, page: Page, row: Row, name: str) -> Reply:
    """GET of what a row leads to: a stream, a row, or rows."""
    if name in page.fields:
        return _stream(page, name)
    step, target = navigate(system.catalogue, page, name)
    query = _query(system, call, company, target)
    if step.collection:
        source = _children(company, step, target, row, query)
        place = f"{_place(company, page)}({row['id']})/{name}"
        return collection(system, call, query, source, full_writer(call, company, target, query), place)
    found = _related(company, step, target, row)
    return Reply(204) if found is None else single(call, company, target, query, found)


def collection(system: BusinessCentral, call: Call, query: Query, source: Source, write: Writer, place: str) -> Reply:
    """A page of rows with its envelope; ``place`` stands in the context."""
    largest = system.settings.page_size
    if query.top is not None and query.top > largest:
        raise errors.not_implemented(f"$top above {largest}")
    rows, more = rows_of_page(source, query, call.page_size(largest))
    answer: Shown = {"@odata.context": f"{call.root}/$metadata#{place}"}
    if query.count:
        answer["@odata.count"] = count(source, query.filter)
    answer["value"] = [write(row) for row in rows]
    if more and query.top is None:
        answer["@odata.nextLink"] = _next_link(call, token_after(source, rows[-1]))
    return Reply(200, answer)


def single(call: Call, company: Company, page: Page, query: Query, row: Row, status: int = 200) -> Reply:
    """A row with its context."""
    context = {"@odata.context": f"{call.root}/$metadata#{_place(company, page)}/$entity"}
    return Reply(status, {**context, **full_writer(call, company, page, query)(row)})


def full_writer(call: Call, company: Company, page: Page, query: Query) -> Writer:
    """What writes a row with the links of its streams and with what is expanded in it."""
    write = row_writer(company, page, query.select)
    streams = streams_of(page, query.select)
    if not streams and not query.expand:
        return write
    address = f"{call.root}/{address_of(company, page)}"
    expanded = [(expand.step.name, _expander(call, company, expand)) for expand in query.expand]

    def write_all(row: Row) -> Shown:
        shown = write(row)
        for name in streams:
            shown[f"{name}@odata.mediaReadLink"] = f"{address}({row['id']})/{name}"
        for name, expand in expanded:
            shown[name] = expand(row)
        return shown

    return write_all


def address_of(company: Company, page: Page) -> str:
    """The path of an entity set below its route."""
    return f"companies({company.id})/{page.set_name}"


_place = address_of


def _expander(call: Call, company: Company, expand: Expand) -> Callable[[Row], Any]:
    step, page, query = expand.step, expand.page, expand.query
    write = full_writer(call, company, page, query)

    def one(row: Row) -> Any:
        found = _related(company, step, page, row)
        return None if found is None else write(found)

    def many(row: Row) -> Any:
        source = _children(company, step, page, row, query)
        return [write(found) for found in rows_of_page(source, query, len(source.ids))[0]]

    return many if step.collection else one


def _children(company: Company, step: Navigation, page: Page, row: Row, query: Query) -> Source:
    """The rows that a collection leads to."""
    if page.table.computed:
        return source_of(information_of(company, page, row["id"]), query)
    if not step.child:
        raise errors.not_implemented(f"the navigation property {step.name}")
    store = company.stores[page.set_name]
    return source_among(store, store.ids_of(step.child, [row["id"]]) or (), query)


def _related(company: Company, step: Navigation, page: Page, row: Row) -> Row | None:
    if page.table.computed:
        raise errors.not_implemented(f"the navigation property {step.name}")
    return company.stores[page.set_name].rows.get(row.get(step.by, ""))


def _query(system: BusinessCentral, call: Call, company: Company, page: Page) -> Query:
    return read_query(system.catalogue, page, call.options, company.local_currency)


def _source(system: BusinessCentral, company: Company, page: Page, query: Query) -> Source:
    if page.table.of:
        return source_with_figures(company, system.today(), query)
    return source_of(_store(company, page, query), query)


def _store(company: Company, page: Page, query: Query) -> Store:
    if page.table.computed:
        return information_by_filter(company, page, query.filter)
    if page.parent and not _names_parent(page, query):
        raise errors.dialog("You must specify an Id or a Document Id to get the lines.")
    return company.stores[page.set_name]


def _names_parent(page: Page, query: Query) -> bool:
    return query.filter is not None and ("id" in query.filter.equal or page.parent in query.filter.equal)


def _stream(page: Page, name: str) -> Reply:
    if page.fields[name].kind != "stream":
        raise errors.not_implemented("reading a single property")
    return Reply(204)  # no stream ever holds anything here


def _next_link(call: Call, token: str) -> str:
    kept = [(name, value) for name, value in call.options if name not in ("$skiptoken", "$skip")]
    return f"{call.root}/{call.address}?{write_options([*kept, ('$skiptoken', token)])}"
