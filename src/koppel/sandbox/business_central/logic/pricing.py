"""What a line costs before anybody says otherwise: the best listed price, else that of the item or resource."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from koppel.catalogue.pages import ZERO_DATE
from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic.amounts import UNIT_AMOUNT, exact, plain, rounded
from koppel.sandbox.business_central.logic.documents import kind_of
from koppel.sandbox.business_central.logic.unit import ITEM, RESOURCE
from koppel.sandbox.business_central.logic.vat import percent_of, price_for
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

_OWNERS = {owner.source: owner for owner in (ITEM, RESOURCE)}
_ONE = Decimal(1)


def own_price(work: Work, order: Row, line: Row, source: Row) -> int | float:
    """The price on the card of an item or resource, in the currency and unit of the line."""
    price = exact(source.get("unitPrice", 0)) * units_in(work, line)
    included = bool(source.get("priceIncludesTax"))
    percent: Any = line.get("taxPercent", 0)
    if included and line.get("vatProdPostingGroup"):
        percent = percent_of(work, source.get("vatBusPostingGrPrice", ""), line["vatProdPostingGroup"])
    return _in_currency(order, _with_tax(order, price, included, percent))


def listed_price(work: Work, order: Row, line: Row) -> int | float | None:
    """The lowest of the sales prices that hold for the customer, date, quantity and unit; None when there is none."""
    if line.get("lineType") != "Item":
        return None
    found = [
        _listed(work, order, line, price)
        for price in work.store("salesPrices").having("itemNo", line["lineObjectNumber"])
        if _holds(order, line, price)
    ]
    return min(found, default=None)


def _listed(work: Work, order: Row, line: Row, price: Row) -> int | float:
    per_unit = _ONE if price.get("unitOfMeasureCode") else units_in(work, line)
    amount = exact(price.get("unitPrice", 0)) * per_unit
    amount = _with_tax(order, amount, bool(price.get("priceIncludesVAT")), line.get("taxPercent", 0))
    return plain(rounded(amount, UNIT_AMOUNT)) if price.get("currencyCode") else _in_currency(order, amount)


def _holds(order: Row, line: Row, price: Row) -> bool:
    buyers = {
        "Customer": order.get("billToCustomerNumber", ""),
        "Customer_x0020_Price_x0020_Group": order.get("customerPriceGroup", ""),
    }
    kind, code = price.get("salesType", "Customer"), price.get("salesCode", "")
    date, last = order.get(kind_of(order).date, ""), price.get("endingDate", ZERO_DATE)
    return (
        (kind == "All_x0020_Customers" or (bool(code) and buyers.get(kind) == code))
        and price.get("startingDate", "") <= date
        and (last == ZERO_DATE or date <= last)
        and price.get("minimumQuantity", 0) <= line.get("quantity", 0)
        and price.get("currencyCode", "") in ("", order.get("currencyCode", ""))
        and price.get("unitOfMeasureCode", "") in ("", line.get("unitOfMeasureCode", ""))
        and not price.get("variantCode")
    )


def units_in(work: Work, line: Row) -> Decimal:
    """How many base units the line's unit is."""
    code, owner = line.get("unitOfMeasureCode", ""), _OWNERS.get(line.get("lineType", ""))
    if not code or owner is None:
        return _ONE
    unit = work.store(owner.units).find(line.get("lineObjectNumber", ""), code)
    if unit is None:
        raise errors.no_related("Unit of Measure Code", "Sales Line", code, work.store(owner.units).info.caption)
    return exact(unit["qtyPerUnitOfMeasure"])


def _with_tax(order: Row, price: Decimal, included: bool, percent: Any) -> Decimal:
    return price_for(price, included=included, wanted=bool(order.get("pricesIncludeTax")), percent=percent)


def _in_currency(order: Row, price: Decimal) -> int | float:
    factor = exact(order.get("currencyFactor", 0)) or _ONE
    return plain(rounded(price * factor, UNIT_AMOUNT))
