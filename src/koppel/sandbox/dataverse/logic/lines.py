"""Lines of sales documents: a product of the catalogue at its price, or a write-in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from koppel.sandbox.dataverse.errors import invalid_argument, missing_value, not_implemented
from koppel.sandbox.dataverse.logic.documents import LIST, OWNERS
from koppel.sandbox.dataverse.logic.faults import fault
from koppel.sandbox.dataverse.logic.hooks import TableLogic
from koppel.sandbox.dataverse.logic.kinds import KINDS, Kind, calculates
from koppel.sandbox.dataverse.logic.money import CURRENCY, convert
from koppel.sandbox.dataverse.logic.moves import check_editable
from koppel.sandbox.dataverse.logic.price import price_of
from koppel.sandbox.dataverse.logic.product import ACTIVE, FAMILY
from koppel.sandbox.dataverse.logic.totals import recalculate_later, work_out_line
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse

_PRODUCT, _UNIT, _GROUP = "_productid_value", "_uomid_value", "_uomscheduleid_value"
_PRODUCT_LINE = 1
_BUNDLE = 3
_WHOLE = 2
_NOT_IN_PRICE_LIST = 11
_SKIP_ON_CREATE, _SKIP_ON_UPDATE = (1, 3), (2, 3)


def _logic(kind: Kind) -> TableLogic:
    def before_create(dataverse: Dataverse, row: Row, caller: Caller) -> None:
        header = _header(dataverse, kind, row)
        check_editable(header)
        row.setdefault("producttypecode", _PRODUCT_LINE)
        _belong(row, header)
        _place(dataverse, kind, row)
        _name(kind, row, _product(dataverse, kind, row, new=True))
        _finish(dataverse, kind, header, row, caller, _SKIP_ON_CREATE)

    def after_create(dataverse: Dataverse, row: Row, caller: Caller) -> None:
        recalculate_later(dataverse, kind, row[kind.link], caller)

    def before_update(dataverse: Dataverse, before: Row, row: Row, changed: Mapping[str, Any], caller: Caller) -> None:
        header = _header(dataverse, kind, row)
        check_editable(_header(dataverse, kind, before))
        check_editable(header)
        _belong(row, header)
        product = _product(dataverse, kind, row, new=row.get(_PRODUCT) != before.get(_PRODUCT))
        if row.get(_PRODUCT) != before.get(_PRODUCT):
            _name(kind, row, product)
        _finish(dataverse, kind, header, row, caller, _SKIP_ON_UPDATE)

    def after_update(dataverse: Dataverse, before: Row, row: Row, caller: Caller) -> None:
        for key in {before[kind.link]: None, row[kind.link]: None}:
            recalculate_later(dataverse, kind, key, caller)

    def before_delete(dataverse: Dataverse, row: Row, caller: Caller) -> None:
        check_editable(_header(dataverse, kind, row))

    return TableLogic(
        before_create=before_create,
        after_create=after_create,
        before_update=before_update,
        after_update=after_update,
        before_delete=before_delete,
        after_delete=after_create,
    )


def _header(dataverse: Dataverse, kind: Kind, row: Row) -> Row:
    header = dataverse.row(kind.table, row.get(kind.link))
    if header is None:
        raise missing_value(kind.line, f"{kind.table}id")
    return header


def _belong(row: Row, header: Row) -> None:
    """Owner and currency are the document's."""
    for name in OWNERS:
        row[name] = header.get(name)
    row[CURRENCY] = header.get(CURRENCY)


def _place(dataverse: Dataverse, kind: Kind, row: Row) -> None:
    """The next number among the lines, unless one is sent."""
    if row.get("lineitemnumber") is None or row.get("sequencenumber") is None:
        number = dataverse.store.index(kind.line, kind.link).count([row[kind.link]]) + 1
        row.setdefault("lineitemnumber", number)
        row.setdefault("sequencenumber", number)


def _product(dataverse: Dataverse, kind: Kind, row: Row, *, new: bool) -> Row | None:
    """The product of a catalogue line, checked; none for a write-in."""
    described = row.get("productdescription") is not None
    if row.get("isproductoverridden"):
        if row.get(_PRODUCT) is not None:
            raise invalid_argument("A write-in line has no product: isproductoverridden is true.")
        if not described:
            raise missing_value(kind.line, "productdescription")
        if row.get(_UNIT) is not None:
            raise fault("CannotSpecifyBothUomAndProductDesc")
        return None
    product = dataverse.row("product", row.get(_PRODUCT))
    if product is None:
        raise fault("MissingProductId")
    if described:
        raise fault("CannotSpecifyBothProductAndProductDesc")
    if new:
        _check_saleable(product)
    unit = dataverse.row("uom", row.get(_UNIT))
    if unit is None:
        raise fault("MissingUomId")
    if unit.get(_GROUP) != product.get("_defaultuomscheduleid_value"):
        raise fault("ProductInvalidUnit")
    return product


def _check_saleable(product: Row) -> None:
    if product["productstructure"] == FAMILY:
        raise fault("CannotAddDraftFamilyProductBundleToCases")
    if product["productstructure"] == _BUNDLE:
        raise not_implemented("product bundles on documents")
    if product["statecode"] != ACTIVE:
        raise fault("CannotAddProduct")


def _name(kind: Kind, row: Row, product: Row | None) -> None:
    """What the line is called, and its product's number."""
    row["productname"] = name = None if product is None else product.get("name")
    row[f"{kind.line}name"] = name or (row.get("productdescription") or "")[:100] or None
    if kind.line != "opportunityproduct":
        row["productnumber"] = None if product is None else product["productnumber"]


def _finish(dataverse: Dataverse, kind: Kind, header: Row, row: Row, caller: Caller, skipping: tuple[int, ...]) -> None:
    """Quantity, price and amounts; only rounded and converted where another system works them out."""
    if row.get("quantity") is None:
        raise missing_value(kind.line, "quantity")
    if calculates(dataverse, kind, header, caller) and row.get("skippricecalculation") not in skipping:
        row["pricingerrorcode"] = 0
        if not row.get("isproductoverridden"):
            _price(dataverse, header, row)
        work_out_line(dataverse, row)
    convert(dataverse, kind.line, row, header.get("exchangerate"))


def _price(dataverse: Dataverse, header: Row, row: Row) -> None:
    """Take the price from the document's list, unless it is overridden; the product must be on the list anyhow."""
    prices = header.get(LIST)
    if prices is None and dataverse.organization.get("ispricelistmandatory"):
        raise fault("PriceListIsMandatory")
    item = price_of(dataverse, prices, row[_PRODUCT], row[_UNIT])
    _check_quantity(dataverse, row, item)
    if item is not None:
        if not row.get("ispriceoverridden"):
            row["priceperunit"] = item["amount"]
    elif not dataverse.off_list_lines:
        raise invalid_argument("The product is not on the price list of the document in this unit.")
    elif not row.get("ispriceoverridden"):
        row["priceperunit"], row["pricingerrorcode"] = None, _NOT_IN_PRICE_LIST


def _check_quantity(dataverse: Dataverse, row: Row, item: Row | None) -> None:
    """Whole numbers where the price list item asks for them; without an item as many decimals as the product has."""
    quantity = row["quantity"]
    if item is not None:
        allowed = 0 if item.get("quantitysellingcode") == _WHOLE else None
    else:
        allowed = (dataverse.row("product", row[_PRODUCT]) or {}).get("quantitydecimal")
    if allowed is not None and round(quantity, allowed) != quantity:
        raise fault("ProductInvalidQuantityDecimal")


LINES: Mapping[str, TableLogic] = {kind.line: _logic(kind) for kind in KINDS.values()}
