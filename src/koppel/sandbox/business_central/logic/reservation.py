"""Items of stock that are reserved for the lines of an order."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from koppel.sandbox.business_central.logic.amounts import ZERO, exact, plain
from koppel.sandbox.business_central.logic.documents import LINES, lines_of
from koppel.sandbox.business_central.logic.pricing import units_in
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

ALWAYS = "Always"


def reserve(work: Work, order: Row) -> None:
    """Reserve what is outstanding of items that always are, as far as there is stock that nobody else has reserved."""
    for line in lines_of(work, order):
        if line.get("reserve") == ALWAYS and line.get("lineType") == "Item":
            quantity = min(exact(line.get("outstandingQuantity", 0)), _free(work, line) / units_in(work, line))
            work.change(LINES, line["id"], {"reservedQuantity": plain(max(quantity, ZERO))})


def _free(work: Work, line: Row) -> Decimal:
    """The stock of a line's item, in base units, that is not reserved for other lines."""
    item = work.store("items").find(line["lineObjectNumber"]) or {}
    others = (row for row in work.store(LINES).having("lineObjectNumber", line["lineObjectNumber"]) if row is not line)
    held = (exact(row.get("reservedQuantity", 0)) * units_in(work, row) for row in others if row["lineType"] == "Item")
    return exact(item.get("inventory", 0)) - sum(held, ZERO)
