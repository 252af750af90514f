"""Custom API pages of Business Central, each with a table of its own, beside the standard and the companion pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from koppel.catalogue.pages import (
    COMPANIES,
    SYSTEM_FIELDS,
    Catalogue,
    Field,
    Page,
    RouteName,
    TableInfo,
    read_fields,
)
from koppel.errors import UsageError
from koppel.sandbox.custom import BusinessCentralPage, Column, Kind

_TYPES: dict[Kind, str] = {
    "text": "Edm.String",
    "code": "Edm.String",
    "integer": "Edm.Int32",
    "decimal": "Edm.Decimal",
    "boolean": "Edm.Boolean",
    "date": "Edm.Date",
    "datetime": "Edm.DateTimeOffset",
    "guid": "Edm.Guid",
}
_RENAME = "Give it a name of its own in the file of tables."
_LENGTHS: dict[Kind, int] = {"text": 100, "code": 20}


def catalogue_with(base: Catalogue, pages: Sequence[BusinessCentralPage]) -> Catalogue:
    """The catalogue with these pages and their tables. ``UsageError`` for a table or route that is there already."""
    tables, routes = dict(base.tables), dict(base.pages)
    for page in pages:
        if page.table in tables:
            raise UsageError(f"Business Central has a table {page.table} already", remedy=_RENAME)
        if page.route == "koppel/sync/v1.0":
            raise UsageError(f"the route of {page.table} is that of the companion pages", remedy=_RENAME)
        tables[page.table] = _table(page)
        companies = msgspec.structs.replace(base.pages["v2.0"][COMPANIES], route=page.route)
        routes[page.route] = {COMPANIES: companies, **routes.get(page.route, {}), page.table: _page(page, tables)}
    return Catalogue(tables, routes, base.enums, base.unsupported)


def _shown(page: BusinessCentralPage) -> dict[str, Field]:
    """The id, the columns, and when the row was modified."""
    described = [_fact(name, column) for name, column in page.columns.items()]
    id, modified = SYSTEM_FIELDS[:2]
    return read_fields([{**id, "editable": page.takes_ids}, *described, modified])


def _fact(name: str, column: Column) -> dict[str, Any]:
    return {
        "name": name,
        "type": _TYPES[column.type],
        "editable": True,
        "code": column.type == "code",
        "maxLength": column.length or _LENGTHS.get(column.type),
        "field": [0, column.caption or name],
    }


def _table(page: BusinessCentralPage) -> TableInfo:
    return TableInfo(
        name=page.table,
        caption=page.caption or page.entity,
        key=page.key,
        blank=frozenset(),
        relations={},
        pairs={},
        code_pairs={},
        initial={},
        indexes=(),
        local_currency="",
        fields=_shown(page) | read_fields(SYSTEM_FIELDS[2:]),
        computed=False,
    )


def _page(page: BusinessCentralPage, tables: dict[str, TableInfo]) -> Page:
    fields = _shown(page)
    route: RouteName = page.route
    return Page(
        route=route,
        set_name=page.table,
        entity=page.entity,
        table=tables[page.table],
        key="id",
        fields=fields,
        names=tuple(fields),
        navigation={},
        insert=True,
        modify=True,
        delete=True,
    )
