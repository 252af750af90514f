"""Two-way orders that are gone from Business Central: Dataverse's get the figures of the archive (SO-48, SO-49)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5

import msgspec

from koppel.engine.action import FollowUp, Refusal
from koppel.engine.rule import Batch, Found, Need, Parts, gone
from koppel.odata.records import Record, Scalar
from koppel.rules import order_line_both
from koppel.rules.document import ITEM, ORDER, RESOURCE, amount, rows_by_document
from koppel.rules.invoice_line import tax_of
from koppel.rules.order import CANCELED, INVOICED, IS_INVOICED

_NUMBER, _OCCURRENCE = "bcbi_businesscentralordernumber", "bcbi_businesscentraldocumentoccurrencenumber"
_LINE = "bcbi_businesscentrallinenumber"
_FIGURES = {
    "quantity": "quantity",
    "quantityshipped": "shippedQuantity",
    "priceperunit": "unitPrice",
    "manualdiscountamount": "discountAmount",
}
"""Columns of a line in Dataverse, and what they are in the archive."""
_ACTIVE = 0
_VERSIONS = Need(
    name="versions",
    table="archivedSalesOrders",
    columns=("id", "number", "docNoOccurrence", "versionNumber", "shipmentDate", "invoice", "pricesIncludeTax"),
    key="number",
    of=lambda batch: batch.column(_NUMBER),
)
_SOLD = ("documentId", "lineType", "lineObjectNumber", "description", "unitOfMeasureCode")
_LINES = Need(
    name="lines",
    table="archivedSalesOrderLines",
    columns=(*_SOLD, "sequence", "netAmount", "netAmountIncludingTax", "invDiscountAmount", *_FIGURES.values()),
    key="documentId",
    of=lambda batch: [version["id"] for version in _newest(batch).values()],
)
_DETAILS = Need(
    name="details",
    side="dataverse",
    table=ORDER.details,
    columns=("salesorderdetailid", ORDER.link, _LINE, "productid", *_FIGURES, "tax"),
    key=ORDER.link,
    of=lambda batch: [record.id for record in batch.records],
)


def _needs(*needs: Need) -> tuple[Need, ...]:
    return _VERSIONS, _LINES, _DETAILS, *(_of_lines(need) for need in needs)


def _of_lines(need: Need) -> Need:
    """What a rule for lines of orders looks at, for those of the archive."""
    of = need.of
    return need if of is None else msgspec.structs.replace(need, of=lambda batch: of(_as_lines(batch)))


_READS = ("ordernumber", "statecode", "datefulfilled", "discountamount", "discountpercentage", _NUMBER, _OCCURRENCE)
_Units = Callable[[Batch], Iterable[Scalar | Refusal]]
_Prices = Callable[[Batch], list[FollowUp]]


@gone(side="dataverse", reads=_READS, needs=_needs(*order_line_both.SALE, *order_line_both.PRICES))
def last_figures(batch: Batch) -> list[FollowUp]:
    """The figures of the newest version in the archive, lines first; invoiced if posting brought the order to its end.

    The pair is uncoupled once they are written. An order that is closed in Dataverse stays as it is.
    """
    return _last_figures(batch, order_line_both.unit, order_line_both.price_first)


@gone(side="dataverse", reads=_READS, needs=_needs(*order_line_both.SALE_IN_GROUPS, *order_line_both.PRICES))
def last_figures_in_groups(batch: Batch) -> list[FollowUp]:
    """The same, where lines are in one of several units (UOM-14)."""
    return _last_figures(batch, order_line_both.unit_in_group, order_line_both.price_first_in_groups)


def _last_figures(batch: Batch, units: _Units, prices: _Prices) -> list[FollowUp]:
    details: dict[Scalar, list[Found]] = {}
    for row in batch.table("details"):
        details.setdefault(row[ORDER.link], []).append(row)
    sold = _sold(batch, units)
    lines = [write for archived in _archived(batch) for write in _lines(archived, details.get(archived.id, []), sold)]
    new = {write.id for write in lines if write.create}
    first = [price for price in prices(_as_lines(batch)) if price.record in new]
    orders = {_line_id(archived, line): archived.id for archived in _archived(batch) for line in archived.lines}
    return [
        *(msgspec.structs.replace(price, record=orders[price.record]) for price in first),
        *lines,
        *(write for archived in _archived(batch) for write in _of_order(archived)),
    ]


class _Archived(NamedTuple):
    """An order of Dataverse, its newest version in the archive, and the lines of that."""

    id: str
    order: Found
    version: Found
    lines: list[Found]


def _archived(batch: Batch) -> list[_Archived]:
    """Orders that are not closed in Dataverse, as far as they are in the archive."""
    newest, lines = _newest(batch), rows_by_document(batch.table("lines"))
    found = ((record.id, row) for record, row in zip(batch.records, batch.rows(), strict=True))
    return [
        _Archived(id, order, version, lines.get(version["id"], []))
        for id, order in found
        if (version := newest.get((order[_NUMBER], order[_OCCURRENCE])))
        if order["statecode"] not in (CANCELED, INVOICED)
    ]


def _newest(batch: Batch) -> dict[tuple[Scalar, Scalar], Found]:
    """The last version of each order, by its number and how many orders have had that."""
    found: dict[tuple[Scalar, Scalar], Found] = {}
    for row in sorted(batch.table("versions"), key=lambda row: int(row["versionNumber"] or 0)):
        found[row["number"], row["docNoOccurrence"]] = row
    return found


def _line_id(archived: _Archived, line: Found) -> str:
    """The id that a line gets in Dataverse if it is not there yet."""
    return str(uuid5(NAMESPACE_URL, f"koppel:archived-line:{archived.version['id']}:{line['sequence']}"))


def _as_lines(batch: Batch) -> Batch:
    """What was sold on the lines of the archive, as lines of the orders that are gone."""
    partners = dict(zip((record.id for record in batch.records), batch.partners, strict=True))
    records = [
        Record(_line_id(one, line), "", tuple({**line, "documentId": partners[one.id]}[name] for name in _SOLD))
        for one in _archived(batch)
        for line in one.lines
        if line["lineType"] in (ITEM, RESOURCE) and line["lineObjectNumber"]
    ]
    columns = {name: place for place, name in enumerate(_SOLD)}
    return msgspec.structs.replace(batch, columns=columns, records=records, partners=())


def _sold(batch: Batch, units: _Units) -> dict[str, Parts | None]:
    """What each line is of in Dataverse, by the id it would get there; None if its product is not coupled or active."""
    lines = _as_lines(batch)
    active = {row["productid"] for row in batch.table("products") if row["statecode"] == _ACTIVE}
    columns = order_line_both.product(lines), units(lines), order_line_both.in_dataverse(lines)
    return {
        record.id: None
        if isinstance(product, Refusal)
        or isinstance(unit, Refusal)
        or isinstance(text, Refusal)
        or not (product is None or product in active)
        else {"productid": product, "uomid": unit, **text}
        for record, product, unit, text in zip(lines.records, *columns, strict=True)
    }


def _lines(archived: _Archived, details: Iterable[Found], sold: Mapping[str, Parts | None]) -> Iterator[FollowUp]:
    """What becomes of the lines of an order: those that were taken off it go, those that came last are added.

    The number of a line that was taken off may be that of another one by now.
    """
    there = {detail[_LINE]: detail for detail in details if detail[_LINE]}
    for line in archived.lines:
        id, detail = _line_id(archived, line), there.get(line["sequence"])
        what = sold.get(id)
        figures = _figures(archived.version, line)
        if detail and (what is None or what["productid"] == detail["productid"]):
            del there[line["sequence"]]
            changed = {column: value for column, value in figures.items() if amount(detail[column]) != amount(value)}
            if changed:
                yield _write(archived, ORDER.details, str(detail["salesorderdetailid"]), changed)
        elif what:
            place = {ORDER.link: archived.id, _LINE: line["sequence"], "ispriceoverridden": True}
            yield _write(archived, ORDER.details, id, {**place, **what, **figures}, create=True)
    for detail in there.values():
        yield _write(archived, ORDER.details, str(detail["salesorderdetailid"]), {}, delete=True)


def _figures(version: Found, line: Found) -> dict[str, Scalar]:
    """What a line comes to; prices that include VAT have none beside them (SO-43)."""
    tax = Decimal(0) if version["pricesIncludeTax"] else tax_of(line)
    return {**{column: float(amount(line[name])) for column, name in _FIGURES.items()}, "tax": float(tax)}


def _of_order(archived: _Archived) -> Iterator[FollowUp]:
    order, version, lines = archived.order, archived.version, archived.lines
    values: dict[str, Scalar] = {}
    discount = sum((amount(row["invDiscountAmount"]) for row in lines), Decimal(0))
    if order["discountpercentage"] or amount(order["discountamount"]) != discount:
        values["discountamount"] = float(discount)
        values |= {"discountpercentage": None} if order["discountpercentage"] else {}
    if not order["datefulfilled"] and any(row["shippedQuantity"] for row in lines):
        values["datefulfilled"] = version["shipmentDate"]
    if version["invoice"]:
        values |= {"statecode": INVOICED, "statuscode": IS_INVOICED}
    if values:
        yield _write(archived, "salesorder", archived.id, values)


def _write(archived: _Archived, table: str, id: str, values: Parts, **how: bool) -> FollowUp:
    return FollowUp(
        side="dataverse",
        table=table,
        id=id,
        values=values,  # type: ignore[arg-type]
        record=archived.id,
        name=str(archived.order["ordernumber"]),
        reason=f"the archive of order {archived.order[_NUMBER]} in Business Central (SO-49)",
        **how,
    )
