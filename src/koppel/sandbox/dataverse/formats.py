"""Formatted values: what a person in the United States would see, in UTC."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from koppel.odata.literals import parse_instant
from koppel.sandbox.dataverse.schema import CHOICES, LOOKUPS, TARGET, Column, TableSchema
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Dataverse

Format = Callable[[Any, Row], str | None]


def format_of(dataverse: Dataverse, table: TableSchema, column: Column) -> Format | None:
    """How a column's values are shown; None for those that have no formatted value."""
    if column.name == table.id_column:
        return None
    if column.kind in LOOKUPS:
        return lambda value, row: _name(dataverse, column, value, row)
    if column.kind in CHOICES:
        options = dataverse.option_sets.get(column.option_set)
        return None if options is None else lambda value, row: options.label(value)
    match column.kind:
        case "Boolean":
            return lambda value, row: "Yes" if value else "No"
        case "Money":
            return lambda value, row: _money(dataverse, column, value, row)
        case "Integer" | "BigInt":
            return lambda value, row: f"{value:,}"
        case "Decimal" | "Double":
            return lambda value, row: f"{value:,.2f}"
        case "DateTime":
            return lambda value, row: _instant(column, value)
    return None


def target_table(column: Column, row: Row) -> str:
    """The table that a row's lookup points to."""
    return column.targets[0] if len(column.targets) == 1 else str(row.get(column.name + TARGET, ""))


def _name(dataverse: Dataverse, column: Column, value: str, row: Row) -> str | None:
    table = dataverse.schema.tables.get(target_table(column, row))
    target = None if table is None else dataverse.row(table.name, value)
    return None if target is None or table is None else target.get(table.name_column)


def _money(dataverse: Dataverse, column: Column, value: float, row: Row) -> str:
    own = None if column.name.endswith("_base") else row.get("_transactioncurrencyid_value")
    currency = dataverse.row("transactioncurrency", own or dataverse.base_currency) or {}
    sign = "-" if value < 0 else ""
    return f"{sign}{currency.get('currencysymbol', '')}{abs(value):,.{currency.get('currencyprecision', 2)}f}"


def _instant(column: Column, value: str) -> str:
    moment = parse_instant(value)
    day = f"{moment.month}/{moment.day}/{moment.year}"
    if column.date_format == "DateOnly" or column.edm == "Edm.Date":
        return day
    return f"{day} {moment.hour % 12 or 12}:{moment.minute:02} {'PM' if moment.hour >= 12 else 'AM'}"
