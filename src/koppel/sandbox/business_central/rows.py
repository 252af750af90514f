"""Rows as a page shows them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from koppel.catalogue.pages import Page
from koppel.sandbox.business_central.company import Company
from koppel.sandbox.business_central.etag import shown_parts, tag_reader
from koppel.sandbox.tables import Row

Shown = dict[str, Any]
Writer = Callable[[Row], Shown]

ETAG = "@odata.etag"


_MOST_WRITERS = 1000


def row_writer(company: Company, page: Page, select: tuple[str, ...] | None = None) -> Writer:
    """What turns stored rows into JSON objects: tag first, then the selected fields in the page's order.

    A blank field that stands for the local currency shows its code.
    """
    known = company.writers.get((page, select))
    if known is None:
        if len(company.writers) >= _MOST_WRITERS:
            company.writers.clear()
        known = company.writers[page, select] = _row_writer(company, page, select)
    return known


def _row_writer(company: Company, page: Page, select: tuple[str, ...] | None) -> Writer:
    parts = [(ETAG, "", ""), *shown_parts(page, select)]
    tag = tag_reader(company, page)
    currency_field = page.table.local_currency
    if not any(name == currency_field for name, _, _ in parts):
        return lambda row: _shown(row, parts, tag(row))
    currency = company.local_currency

    def write(row: Row) -> Shown:
        shown = _shown(row, parts, tag(row))
        if not shown[currency_field]:
            shown[currency_field] = currency
        return shown

    return write


def company_writer(page: Page, select: tuple[str, ...] | None) -> Writer:
    """Companies carry no tag."""
    parts = shown_parts(page, select)
    return lambda row: {name: row.get(name, empty) for name, _, empty in parts}


def _shown(row: Row, parts: list[tuple[str, str, Any]], tag: str) -> Shown:
    get = row.get
    shown = {name: get(source, empty) for name, source, empty in parts}
    shown[ETAG] = tag
    return shown


@lru_cache(maxsize=512)
def streams_of(page: Page, select: tuple[str, ...] | None) -> list[str]:
    """Selected fields that are streams: shown as links only."""
    return [
        field.name
        for field in page.fields.values()
        if field.kind == "stream" and (select is None or field.name in select)
    ]
