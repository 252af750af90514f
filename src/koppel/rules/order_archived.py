"""Two-way orders that are gone from Business Central: Dataverse's get the figures of the archive (SO-48, SO-49)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from koppel.engine.action import FollowUp
from koppel.engine.rule import Batch, Found, Need, gone
from koppel.odata.records import Scalar
from koppel.rules.document import amount, rows_by_document
from koppel.rules.order import CANCELED, INVOICED, IS_INVOICED

_NUMBER, _OCCURRENCE = "bcbi_businesscentralordernumber", "bcbi_businesscentraldocumentoccurrencenumber"
_LINE = "bcbi_businesscentrallinenumber"
_FIGURES = {"quantity": "quantity", "quantityshipped": "shippedQuantity", "manualdiscountamount": "discountAmount"}
"""Columns of a line in Dataverse, and what they are in the archive."""
_VERSIONS = Need(
    name="versions",
    table="archivedSalesOrders",
    columns=("id", "number", "docNoOccurrence", "versionNumber", "shipmentDate", "invoice"),
    key="number",
    of=lambda batch: batch.column(_NUMBER),
)
_LINES = Need(
    name="lines",
    table="archivedSalesOrderLines",
    columns=("documentId", "sequence", "invDiscountAmount", *_FIGURES.values()),
    key="documentId",
    of=lambda batch: [version["id"] for version in _newest(batch).values()],
)
_DETAILS = Need(
    name="details",
    side="dataverse",
    table="salesorderdetail",
    columns=("salesorderdetailid", "salesorderid", _LINE, *_FIGURES),
    key="salesorderid",
    of=lambda batch: [record.id for record in batch.records],
)


@gone(
    side="dataverse",
    reads=("ordernumber", "statecode", "datefulfilled", "discountamount", _NUMBER, _OCCURRENCE),
    needs=(_VERSIONS, _LINES, _DETAILS),
)
def last_figures(batch: Batch) -> list[FollowUp]:
    """The figures of the newest version in the archive, lines first; invoiced if posting brought the order to its end.

    The pair is uncoupled once they are written. An order that is closed in Dataverse stays as it is.
    """
    newest, lines = _newest(batch), rows_by_document(batch.table("lines"))
    details: dict[Scalar, list[Found]] = {}
    for row in batch.table("details"):
        details.setdefault(row["salesorderid"], []).append(row)
    writes: list[FollowUp] = []
    for record, order in zip(batch.records, batch.rows(), strict=True):
        version = newest.get((order[_NUMBER], order[_OCCURRENCE]))
        if version and order["statecode"] not in (CANCELED, INVOICED):
            kept = lines.get(version["id"], [])
            writes += _of_lines(record.id, order, kept, details.get(record.id, []))
            writes += _of_order(record.id, order, version, kept)
    return writes


def _newest(batch: Batch) -> dict[tuple[Scalar, Scalar], Found]:
    """The last version of each order, by its number and how many orders have had that."""
    found: dict[tuple[Scalar, Scalar], Found] = {}
    for row in sorted(batch.table("versions"), key=lambda row: int(row["versionNumber"] or 0)):
        found[row["number"], row["docNoOccurrence"]] = row
    return found


def _of_lines(record: str, order: Found, kept: Iterable[Found], details: Iterable[Found]) -> Iterator[FollowUp]:
    lines = {row["sequence"]: row for row in kept}
    for detail in details:
        line = lines.get(detail[_LINE], {})
        values = {column: float(amount(line[name])) for column, name in _FIGURES.items() if line}
        changed = {column: value for column, value in values.items() if amount(detail[column]) != amount(value)}
        if changed:
            yield _write("salesorderdetail", str(detail["salesorderdetailid"]), changed, record, order)


def _of_order(record: str, order: Found, version: Found, kept: Iterable[Found]) -> Iterator[FollowUp]:
    values: dict[str, Scalar] = {}
    discount = sum((amount(row["invDiscountAmount"]) for row in kept), Decimal(0))
    if amount(order["discountamount"]) != discount:
        values["discountamount"] = float(discount)
    if version["invoice"]:
        if not order["datefulfilled"]:
            values["datefulfilled"] = version["shipmentDate"]
        values |= {"statecode": INVOICED, "statuscode": IS_INVOICED}
    if values:
        yield _write("salesorder", record, values, record, order)


def _write(table: str, id: str, values: Mapping[str, Scalar], record: str, order: Found) -> FollowUp:
    reason = f"the archive of order {order[_NUMBER]} in Business Central (SO-49)"
    name = str(order["ordernumber"])
    return FollowUp(side="dataverse", table=table, id=id, values=values, record=record, name=name, reason=reason)
