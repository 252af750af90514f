"""Lines of sales orders and quotes: defaults from what is sold, quantities, prices and discounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from koppel.catalogue.pages import ZERO_GUID
from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic import posting, totals
from koppel.sandbox.business_central.logic.amounts import HUNDRED, PERCENT, exact, gross_amount, plain, rounded
from koppel.sandbox.business_central.logic.documents import (
    ORDER,
    SOURCES,
    kind_of,
    lines_of,
    one_type,
    refuse_goods,
    refuse_released,
)
from koppel.sandbox.business_central.logic.hooks import Logic, Validate
from koppel.sandbox.business_central.logic.pricing import listed_price, own_price, units_in
from koppel.sandbox.business_central.logic.reservation import ALWAYS
from koppel.sandbox.business_central.logic.vat import percent_of
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

_STEP = 10_000
_FROM_ORDER = (
    *("customerNumber", "billToCustomerNumber", "currencyCode", "vatBusPostingGroup"),
    *("shipmentDate", "requestedDeliveryDate", "prepaymentPercent"),
)
_OF_THE_LINE = frozenset(
    {*_FROM_ORDER, "id", "documentId", "documentNumber", "documentType", "sequence", "systemCreatedAt"}
)
"""What a line keeps when it becomes one of another type."""
_COUNTS = (
    "quantity",
    "unitPrice",
    "discountAmount",
    "allowInvoiceDisc",
    "taxPercent",
    "prepaymentPercent",
    "outstandingQuantity",
    "qtyShippedNotInvoiced",
)
"""What the totals of the order depend on."""


def _order(work: Work, row: Row) -> Row:
    return work.store(kind_of(row).headers).rows[row["documentId"]]


def _record(row: Row) -> str:
    number, place = row["documentNumber"], row.get("sequence", 0)
    return f"Sales Line: Document Type={kind_of(row).name}, Document No.={number}, Line No.={place}"


def _prepare(work: Work, row: Row, body: dict[str, Any]) -> None:
    """A new line takes over what its order says."""
    order = work.store(kind_of(row).headers).rows.get(str(body.get("documentId", "")).lower())
    if order is None:
        raise errors.dialog("You must specify a document id to get the lines.")
    refuse_released(order)
    if body.get("itemId") and body.get("accountId"):
        raise errors.dialog('Both "itemId" and "accountId" are specified. Specify only one of them.')
    row |= {name: order[name] for name in _FROM_ORDER if name in order}
    row |= {"documentId": order["id"], "documentNumber": order["number"]}


def _fixed(name: str) -> Validate:
    def check(work: Work, row: Row, before: Any) -> None:
        if row.get("id") in work.store(kind_of(row).lines).rows and row.get(name) != before:
            raise errors.dialog(f'The value for "{name}" cannot be modified.')

    return check


def _document_set(work: Work, row: Row, before: str) -> None:
    if row.get("documentId") != before:
        raise errors.dialog('The value for "documentId" cannot be modified.')


def _type_set(work: Work, row: Row, before: str) -> None:
    kind = row.get("lineType", "Comment")
    if kind == before:
        return
    refuse_released(_order(work, row))
    posting.refuse_shipped(row)
    if kind not in ("Comment", *SOURCES):
        raise errors.not_implemented(f"order lines of the type {kind}")
    _clear(row, kind)


def _clear(row: Row, kind: str) -> None:
    for name in [name for name in row if name not in _OF_THE_LINE]:
        del row[name]
    if kind != "Comment":
        row["lineType"] = kind


def _number_set(work: Work, row: Row, before: str) -> None:
    number = row.get("lineObjectNumber", "")
    if number == before:
        return
    if before:
        raise errors.dialog('The value for "lineObjectNumber" cannot be modified.')
    _become(work, row)


def _item_set(work: Work, row: Row, before: str) -> None:
    _id_set(work, row, "Item", before)


def _account_set(work: Work, row: Row, before: str) -> None:
    _id_set(work, row, "Account", before)


def _id_set(work: Work, row: Row, kind: str, before: str) -> None:
    """The id of an item or account says type and number."""
    name = SOURCES[kind].id_name
    row_id = row.get(name, ZERO_GUID)
    if row_id in (before, ZERO_GUID):
        return
    found = work.store(SOURCES[kind].table).rows.get(row_id)
    if found is None:
        raise errors.dialog(f'The "{name}" does not match to an {kind}.')
    if row.get("lineObjectNumber"):
        raise errors.dialog(f'The value for "{name}" cannot be modified.')
    if row.get("lineType", "Comment") != kind:
        _clear(row, kind)
    row |= {"lineObjectNumber": found["number"], name: row_id}
    _become(work, row)


def _become(work: Work, row: Row) -> None:
    """Text, unit, price and VAT of what the line is now of."""
    order, kind, number = _order(work, row), row.get("lineType", "Comment"), row["lineObjectNumber"]
    refuse_released(order)
    source = SOURCES.get(kind)
    table = work.store(source.table) if source else None
    found = table.find(number) if table else None
    if found is None or source is None or table is None:
        raise errors.no_related("No.", "Sales Line", number, table.info.caption if table else "Standard Text")
    refuse_goods(table, found)
    row |= {"allowInvoiceDisc": True} if source.discount else {}
    row |= {source.id_name: found["id"]} if source.id_name else {}
    row |= {"reserve": ALWAYS} if kind_of(row) is ORDER and found.get("reserve") == ALWAYS else {}
    unit = work.store("unitsOfMeasure").find(found.get("baseUnitOfMeasureCode", ""))
    taken: Row = {
        "description": found.get("displayName", ""),
        "description2": found.get("displayName2", ""),
        "unitOfMeasureCode": unit["code"] if unit else "",
        "unitOfMeasureId": unit["id"] if unit else ZERO_GUID,
        "vatProdPostingGroup": found.get("vatProdPostingGroup", ""),
    }
    work.store(kind_of(row).lines).fill(row, taken)
    _rate(work, row)
    _price(work, row, found)


def _rate(work: Work, row: Row) -> None:
    percent = percent_of(work, row.get("vatBusPostingGroup", ""), row.get("vatProdPostingGroup", ""))
    work.store(kind_of(row).lines).fill(row, {"taxPercent": percent, "taxCode": row.get("vatProdPostingGroup", "")})


def _price(work: Work, row: Row, source: Row) -> None:
    listed = listed_price(work, _order(work, row), row)
    price = own_price(work, _order(work, row), row, source) if listed is None else listed
    work.store(kind_of(row).lines).fill(row, {"unitPrice": price})
    _discount_by_percent(work, row)


def _group_set(work: Work, row: Row, before: str) -> None:
    refuse_released(_order(work, row))
    _rate(work, row)


def _tax_code_set(work: Work, row: Row, before: str) -> None:
    work.store(kind_of(row).lines).fill(row, {"vatProdPostingGroup": row.get("taxCode", "")})
    _group_set(work, row, before)


def _unit_set(work: Work, row: Row, before: str) -> None:
    """Another unit has another price, unless nothing is known of it."""
    refuse_released(_order(work, row))
    _needs_goods(row)
    if row.get("unitOfMeasureCode", "") == before:
        return
    units_in(work, row)
    source = work.store(SOURCES[row["lineType"]].table).find(row["lineObjectNumber"])
    if source is not None and source.get("unitPrice"):
        _price(work, row, source)


def _quantity_set(work: Work, row: Row, before: Any) -> None:
    refuse_released(_order(work, row))
    if row.get("quantity"):
        _needs_goods(row)
    if abs(row.get("quantity", 0)) < abs(row.get("shippedQuantity", 0)):
        raise errors.dialog(f"Quantity must not be less than {row['shippedQuantity']} in {_record(row)}.")
    if kind_of(row) is ORDER:
        work.store(kind_of(row).lines).fill(row, posting.open_quantities(row))
    price = listed_price(work, _order(work, row), row) if row.get("quantity") else None
    if price is not None:
        work.store(kind_of(row).lines).fill(row, {"unitPrice": price})
    _discount_by_percent(work, row)


def _needs_goods(row: Row) -> None:
    if row.get("lineType", "Comment") == "Comment":
        raise errors.must_have_value("Type", _record(row))
    if not row.get("lineObjectNumber"):
        raise errors.must_have_value("No.", _record(row))


def _price_set(work: Work, row: Row, before: Any) -> None:
    refuse_released(_order(work, row))
    if row.get("unitPrice"):
        _needs_goods(row)
    _discount_by_percent(work, row)


def _percent_set(work: Work, row: Row, before: Any) -> None:
    refuse_released(_order(work, row))
    if not 0 <= row.get("discountPercent", 0) <= 100:
        raise errors.dialog("The value in the Line Discount % field must be between 0 and 100.")
    _discount_by_percent(work, row)


def _discount_by_percent(work: Work, row: Row) -> None:
    terms = totals.terms_of(work, _order(work, row))
    amount = rounded(gross_amount(row), terms.precision) * exact(row.get("discountPercent", 0)) / HUNDRED
    work.store(kind_of(row).lines).fill(row, {"discountAmount": plain(rounded(amount, terms.precision))})


def _discount_set(work: Work, row: Row, before: Any) -> None:
    """A discount as an amount: of the line, not of a unit."""
    refuse_released(_order(work, row))
    terms = totals.terms_of(work, _order(work, row))
    amount, gross = exact(row.get("discountAmount", 0)), rounded(gross_amount(row), terms.precision)
    if amount and not gross:
        _needs_goods(row)
        raise errors.must_have_value("Quantity", _record(row))
    if abs(amount) > abs(gross):
        raise errors.dialog("The value in the Line Discount % field must be between 0 and 100.")
    percent = rounded(amount / gross * HUNDRED, PERCENT) if gross else amount
    work.store(kind_of(row).lines).fill(row, {"discountPercent": plain(percent)})


def _ship_set(work: Work, row: Row, before: Any) -> None:
    most = row.get("outstandingQuantity", 0)
    if abs(row.get("shipQuantity", 0)) > abs(most):
        raise errors.dialog(f"You cannot ship more than {most} units.")
    work.store(kind_of(row).lines).fill(row, {"invoiceQuantity": posting.to_invoice(row)})


def _invoice_set(work: Work, row: Row, before: Any) -> None:
    most = posting.to_invoice(row)
    if abs(row.get("invoiceQuantity", 0)) > abs(most):
        raise errors.dialog(f"You cannot invoice more than {most} units.")


def _guarded(work: Work, row: Row, before: Any) -> None:
    refuse_released(_order(work, row))


def _place_set(work: Work, row: Row, before: Any) -> None:
    if row.get("itemVariantId") or row.get("locationId"):
        raise errors.not_implemented("item variants and locations")


def _insert(work: Work, row: Row) -> None:
    if not row.get("sequence"):
        lines = lines_of(work, _order(work, row))
        row["sequence"] = max((line["sequence"] for line in lines), default=0) + _STEP


def _inserted(work: Work, row: Row) -> None:
    totals.settle(work, _order(work, row), touch=True)


def _modified(work: Work, before: Row, after: Row) -> None:
    if any(before.get(name) != after.get(name) for name in _COUNTS):
        totals.settle(work, _order(work, after), touch=True)


def _delete(work: Work, row: Row) -> None:
    refuse_released(_order(work, row))
    posting.refuse_shipped(row)


def _deleted(work: Work, row: Row) -> None:
    """Texts that are attached to a line go with it."""
    for line in lines_of(work, _order(work, row)):
        if line.get("attachedToLineNumber") == row["sequence"]:
            work.delete(kind_of(row).lines, line["id"])
    totals.settle(work, _order(work, row), touch=True)


LOGIC = Logic(
    prepare=_prepare,
    validate={
        "documentType": one_type,
        "documentId": _document_set,
        "sequence": _fixed("sequence"),
        "lineType": _type_set,
        "lineObjectNumber": _number_set,
        "itemId": _item_set,
        "accountId": _account_set,
        "unitOfMeasureCode": _unit_set,
        "quantity": _quantity_set,
        "unitPrice": _price_set,
        "discountPercent": _percent_set,
        "discountAmount": _discount_set,
        "shipQuantity": _ship_set,
        "invoiceQuantity": _invoice_set,
        "allowInvoiceDisc": _guarded,
        "prepaymentPercent": _guarded,
        "vatBusPostingGroup": _group_set,
        "vatProdPostingGroup": _group_set,
        "taxCode": _tax_code_set,
        "shipmentDate": _guarded,
        "requestedDeliveryDate": _guarded,
        "itemVariantId": _place_set,
        "locationId": _place_set,
    },
    insert=_insert,
    inserted=_inserted,
    modified=_modified,
    delete=_delete,
    deleted=_deleted,
)
