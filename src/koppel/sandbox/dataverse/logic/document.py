"""Sales documents and their lines: numbers that the system gives, the currency they begin with."""

from __future__ import annotations

import random
import string
from typing import TYPE_CHECKING

from koppel.sandbox.dataverse.logic.hooks import Birth, TableLogic
from koppel.sandbox.dataverse.logic.money import CURRENCY, default_currency, settle
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse

_FIRST_NUMBER = 1000
_LINE_PARENTS = {
    "opportunityproductid": ("opportunity", "_opportunityid_value"),
    "quotedetailid": ("quote", "_quoteid_value"),
    "salesorderdetailid": ("salesorder", "_salesorderid_value"),
    "invoicedetailid": ("invoice", "_invoiceid_value"),
}
_PRODUCT_LINE = 1


def _numbered(table: str, column: str, prefix_column: str, prefix: str) -> TableLogic:
    """The logic of a document whose number the system gives when none is sent."""

    def before_create(dataverse: Dataverse, row: Row, caller: Caller) -> None:
        _with_currency(table)(dataverse, row, caller)
        if row.get(column) is None:
            begin = dataverse.organization.get(prefix_column) or prefix
            serial = _FIRST_NUMBER + len(dataverse.tables[table].rows)
            suffix = "".join(random.choices(string.ascii_uppercase + string.digits, k=6))
            row[column] = f"{begin}-{serial:05}-{suffix}"

    return TableLogic(before_create=before_create)


def _with_currency(table: str) -> Birth:
    def before_create(dataverse: Dataverse, row: Row, caller: Caller) -> None:
        if row.get(CURRENCY) is None:
            row[CURRENCY] = default_currency(dataverse, caller)
            settle(dataverse, table, row, row, caller)

    return before_create


def _line_before_create(dataverse: Dataverse, row: Row, caller: Caller) -> None:
    """A line's currency is that of its document."""
    row.setdefault("producttypecode", _PRODUCT_LINE)
    key, (parent_table, column) = next((key, parent) for key, parent in _LINE_PARENTS.items() if key in row)
    parent = dataverse.row(parent_table, row.get(column))
    if parent is not None:
        row[CURRENCY] = parent.get(CURRENCY)
        settle(dataverse, key.removesuffix("id"), row, row, caller)


OPPORTUNITY = TableLogic(before_create=_with_currency("opportunity"))
QUOTE = _numbered("quote", "quotenumber", "quoteprefix", "QUO")
SALES_ORDER = _numbered("salesorder", "ordernumber", "orderprefix", "ORD")
INVOICE = _numbered("invoice", "invoicenumber", "invoiceprefix", "INV")
LINE = TableLogic(before_create=_line_before_create)
