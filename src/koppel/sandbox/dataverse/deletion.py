"""What becomes of the rows that point to a deleted one: deleted too, cut loose, or a reason to refuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from koppel.sandbox.dataverse import errors
from koppel.sandbox.dataverse.schema import TARGET

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse

_BELONGS = frozenset(
    {
        ("annotation", "_objectid_value"),
        ("post", "_regardingobjectid_value"),
        ("contact", "_parentcustomerid_value"),
        ("opportunity", "_customerid_value"),
        ("quote", "_customerid_value"),
        ("salesorder", "_customerid_value"),
        ("invoice", "_customerid_value"),
        ("opportunityproduct", "_opportunityid_value"),
        ("quotedetail", "_quoteid_value"),
        ("salesorderdetail", "_salesorderid_value"),
        ("invoicedetail", "_invoiceid_value"),
        ("opportunityclose", "_opportunityid_value"),
        ("orderclose", "_salesorderid_value"),
        ("quoteclose", "_quoteid_value"),
        ("productpricelevel", "_productid_value"),
        ("product", "_parentproductid_value"),
        ("uom", "_uomscheduleid_value"),
        ("uom", "_baseuom_value"),
        ("sdkmessageprocessingstep", "_eventhandler_value"),
    }
)
"""Lookups whose rows go with the row that they point to."""

_HOLDS = frozenset({"transactioncurrency", "uom", "uomschedule", "pricelevel", "product", "businessunit"})
"""Tables whose rows stay as long as others use them."""

_LETS_GO = frozenset({("opportunity", "_pricelevelid_value")})
"""Lookups to such tables that hold nothing."""


def delete(dataverse: Dataverse, table: str, key: str, caller: Caller) -> None:
    """Delete a row and settle what points to it. 405 when a restricted relation holds it."""
    if table in ("systemuser", "organization"):
        raise errors.ServiceError(405, "0x80040227", f"Rows of {table} cannot be deleted.")
    used = list(_users(dataverse, table, key))
    for child, column, _ in used:
        if table in _HOLDS and (child, column) not in _BELONGS | _LETS_GO:
            raise errors.in_use(table, child)
    for child, column, row_key in used:
        if (child, column) not in _BELONGS:
            row = dataverse.tables[child].rows[row_key]
            dataverse.touch(child, {**row, column: None, column + TARGET: None}, caller)
        elif row_key in dataverse.tables[child].rows:
            delete(dataverse, child, row_key, caller)
    dataverse.store.remove(table, key)


def _users(dataverse: Dataverse, table: str, key: str) -> Iterator[tuple[str, str, str]]:
    for child, column in dataverse.schema.referrers[table]:
        if not dataverse.tables[child].rows:
            continue
        for row_key in dataverse.store.index(child, column).find([key]):
            if (child, row_key) != (table, key):
                yield child, column, row_key
