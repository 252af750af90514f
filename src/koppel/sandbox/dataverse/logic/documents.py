"""Opportunities, quotes, orders and invoices: what they need, who their customer is, their numbers and totals."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from koppel.sandbox.dataverse.errors import missing_value
from koppel.sandbox.dataverse.logic.faults import fault
from koppel.sandbox.dataverse.logic.hooks import TableLogic
from koppel.sandbox.dataverse.logic.kinds import KINDS, QUOTE, Kind, calculates
from koppel.sandbox.dataverse.logic.money import CURRENCY, convert, default_currency
from koppel.sandbox.dataverse.logic.moves import check_update
from koppel.sandbox.dataverse.logic.totals import TOTALS, recalculate_later, work_out
from koppel.sandbox.dataverse.schema import TARGET
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse

LIST = "_pricelevelid_value"
CUSTOMER = "_customerid_value"
OWNERS = (
    "_ownerid_value",
    "_ownerid_value" + TARGET,
    "_owninguser_value",
    "_owningteam_value",
    "_owningbusinessunit_value",
)
_PARENTS = {"account": "_parentaccountid_value", "contact": "_parentcontactid_value"}
_NUMBERS = {
    "quote": ("quotenumber", "quoteprefix", "QUO"),
    "salesorder": ("ordernumber", "orderprefix", "ORD"),
    "invoice": ("invoicenumber", "invoiceprefix", "INV"),
}
_FIRST_NUMBER = 1000
_WORKED_OUT_FROM = frozenset(
    {*TOTALS, "discountamount", "discountpercentage", "freightamount", "isrevenuesystemcalculated", CURRENCY}
)
_CURRENCY_FAULTS = {"opportunity": "CannotUpdateOpportunityCurrency", "quote": "CannotUpdateQuoteCurrency"}


def _logic(kind: Kind) -> TableLogic:
    def before_create(dataverse: Dataverse, row: Row, caller: Caller) -> None:
        if row.get(CURRENCY) is None:
            row[CURRENCY] = default_currency(dataverse, caller)
            convert(dataverse, kind.table, row)
        _number(dataverse, kind, row)
        _find_customer(row, row)
        if kind.strict:
            _check_prerequisites(dataverse, kind, row)
        _check_list(dataverse, row)
        if calculates(dataverse, kind, row, caller):
            work_out(dataverse, kind, row)

    def before_update(dataverse: Dataverse, before: Row, row: Row, changed: Mapping[str, Any], caller: Caller) -> None:
        check_update(dataverse, kind, before, row, changed)
        _find_customer(row, changed)
        if kind.strict and (LIST in changed or CUSTOMER in changed):
            _check_prerequisites(dataverse, kind, row)
        if LIST in changed or CURRENCY in changed:
            _check_list(dataverse, row)
        if row.get(CURRENCY) != before.get(CURRENCY) and _lines(dataverse, kind, row):
            raise fault(_CURRENCY_FAULTS[kind.table])
        if not changed.keys().isdisjoint(_WORKED_OUT_FROM) and calculates(dataverse, kind, row, caller):
            work_out(dataverse, kind, row)

    def after_update(dataverse: Dataverse, before: Row, row: Row, caller: Caller) -> None:
        if row["_ownerid_value"] != before["_ownerid_value"]:
            owner = {name: row.get(name) for name in OWNERS}
            for line in _lines(dataverse, kind, row):
                dataverse.touch(kind.line, {**line, **owner}, caller)
        if kind.mark and row.get("ispricelocked") != before.get("ispricelocked"):
            for line in _lines(dataverse, kind, row):
                dataverse.touch(kind.line, {**line, kind.mark: row["ispricelocked"]}, caller)
            _price_again(dataverse, kind, row, caller)
        elif row.get(LIST) != before.get(LIST):
            _price_again(dataverse, kind, row, caller)

    return TableLogic(before_create=before_create, before_update=before_update, after_update=after_update)


def _lines(dataverse: Dataverse, kind: Kind, row: Row) -> list[Row]:
    return dataverse.children(kind.line, kind.link, row[f"{kind.table}id"])


def _price_again(dataverse: Dataverse, kind: Kind, row: Row, caller: Caller) -> None:
    """Let every line take its price from the list once more, and the totals follow."""
    if not calculates(dataverse, kind, row, caller):
        return
    with dataverse.together():
        for line in _lines(dataverse, kind, row):
            dataverse.update(kind.line, line[f"{kind.line}id"], {}, caller)
        recalculate_later(dataverse, kind, row[f"{kind.table}id"], caller)


def _number(dataverse: Dataverse, kind: Kind, row: Row) -> None:
    """A number, when none is sent; the first revision of a quote."""
    if kind is QUOTE:
        row.setdefault("revisionnumber", 0)
    if kind.table not in _NUMBERS:
        return
    column, prefix_column, prefix = _NUMBERS[kind.table]
    if row.get(column) is None:
        begin = dataverse.organization.get(prefix_column) or prefix
        serial = _FIRST_NUMBER + len(dataverse.tables[kind.table].rows)
        suffix = "".join(random.choices(string.ascii_uppercase + string.digits, k=6))
        row[column] = f"{begin}-{serial:05}-{suffix}"


def _find_customer(row: Row, changed: Mapping[str, Any]) -> None:
    """Bring customer, parent account and parent contact together: the account comes first.

    ``accountid`` and ``contactid`` tell the customer once more.
    """
    parents = _PARENTS if "opportunityid" in row else {}
    named = any(changed.get(column) is not None for column in parents.values())
    if changed.get(CUSTOMER) is not None and not named:
        if parents:
            row[parents[row[CUSTOMER + TARGET]]] = row[CUSTOMER]
    elif parents and not changed.keys().isdisjoint({CUSTOMER, *parents.values()}):
        found = ((table, row[column]) for table, column in parents.items() if row.get(column) is not None)
        row[CUSTOMER + TARGET], row[CUSTOMER] = next(found, (None, None))
    elif CUSTOMER not in changed:
        return
    target = row.get(CUSTOMER + TARGET)
    for table in ("account", "contact"):
        row[f"_{table}id_value"] = row.get(CUSTOMER) if table == target else None


def _check_prerequisites(dataverse: Dataverse, kind: Kind, row: Row) -> None:
    if row.get(CUSTOMER) is None:
        raise missing_value(kind.table, "customerid")
    if row.get(LIST) is None and dataverse.organization.get("ispricelistmandatory"):
        raise fault("PriceListIsMandatory")


def _check_list(dataverse: Dataverse, row: Row) -> None:
    prices = dataverse.row("pricelevel", row.get(LIST))
    if prices is not None and prices.get(CURRENCY) != row.get(CURRENCY):
        raise fault("RecordAndPricelistCurrencyNotEqual")


DOCUMENTS: Mapping[str, TableLogic] = {kind.table: _logic(kind) for kind in KINDS.values()}
