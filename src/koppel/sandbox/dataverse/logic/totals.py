"""The arithmetic of sales documents: what Microsoft documents of it, and what administrators found out.

A line: ``baseamount = quantity * (priceperunit - volumediscountamount)``, ``extendedamount = baseamount -
manualdiscountamount + tax``; the manual discount counts once a line or, as the organisation wishes, once a unit.
A document: ``totallineitemamount`` is the lines without tax, ``totaldiscountamount`` all discounts but those for
volume, those of the lines included; only the document's own ones come off then: ``totalamountlessfreight =
totallineitemamount - discountamount - discountpercentage``; ``totalamount`` adds freight and tax.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from koppel.sandbox.dataverse.logic.kinds import Kind, calculates
from koppel.sandbox.dataverse.logic.money import CURRENCY, convert, decimals, rounded, times
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse

TOTALS = (
    "totallineitemamount",
    "totallineitemdiscountamount",
    "totaltax",
    "totaldiscountamount",
    "totalamountlessfreight",
    "totalamount",
)
_PER_UNIT = 1


def work_out_line(dataverse: Dataverse, line: Row) -> None:
    """Amounts of a line from quantity, price, discount and tax; not yet in the base currency."""
    amounts, prices = decimals(dataverse, dataverse.row("transactioncurrency", line.get(CURRENCY)) or {})
    price = rounded(line.get("priceperunit") or 0, prices)
    line["volumediscountamount"] = 0  # there are no discount lists
    line["baseamount"] = base = times(line["quantity"], price, amounts)
    line["extendedamount"] = rounded(base - _discount(dataverse, line, amounts) + (line.get("tax") or 0), amounts)


def _discount(dataverse: Dataverse, line: Row, amounts: int) -> float:
    discount = float(line.get("manualdiscountamount") or 0)
    if discount and dataverse.organization.get("discountcalculationmethod") == _PER_UNIT:
        return times(line["quantity"], discount, amounts)
    return rounded(discount, amounts)


def work_out(dataverse: Dataverse, kind: Kind, header: Row) -> None:
    """Totals of a document from its lines, its discounts and its freight."""
    lines = dataverse.children(kind.line, kind.link, header[f"{kind.table}id"])
    amounts, _ = decimals(dataverse, dataverse.row("transactioncurrency", header.get(CURRENCY)) or {})
    discounts = sum(_discount(dataverse, line, amounts) for line in lines)
    tax = round(sum(line.get("tax") or 0 for line in lines), amounts)
    net = round(sum(line.get("baseamount") or 0 for line in lines) - discounts, amounts)
    own = rounded(header.get("discountamount") or 0, amounts)
    own += times(net, header.get("discountpercentage") or 0, amounts + 2) / 100
    own = rounded(own, amounts)
    less_freight = round(net - own, amounts)
    freight = rounded(header.get("freightamount") or 0, amounts)
    found = net, round(discounts, amounts), tax, round(own + discounts, amounts), less_freight
    header |= zip(TOTALS, (*found, round(less_freight + freight + tax, amounts)), strict=True)
    header["pricingerrorcode"] = int(any(line.get("pricingerrorcode") for line in lines))
    if header.get("isrevenuesystemcalculated"):
        header["estimatedvalue"] = header["totalamount"]
    convert(dataverse, kind.table, header)


def recalculate(dataverse: Dataverse, kind: Kind, key: str, caller: Caller) -> None:
    """Bring the totals of a stored document in line with its lines."""
    before = dataverse.row(kind.table, key)
    if before is None or not calculates(dataverse, kind, before, caller):
        return
    row = dict(before)
    work_out(dataverse, kind, row)
    if row != before:
        dataverse.touch(kind.table, row, caller)


def recalculate_later(dataverse: Dataverse, kind: Kind, key: str, caller: Caller) -> None:
    """The same, once for all lines of a request."""
    dataverse.afterwards((kind.table, key), lambda: recalculate(dataverse, kind, key, caller))
