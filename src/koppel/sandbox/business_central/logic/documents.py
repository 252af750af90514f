"""What sales documents have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.store import Store
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

ORDERS = "salesOrders"
LINES = "salesOrderLines"


class Kind(msgspec.Struct, frozen=True):
    """A type of document: its name, its tables, its date, and the field of sales setup that names its numbers."""

    name: str
    headers: str
    lines: str
    date: str
    numbers: str


ORDER = Kind("Order", ORDERS, LINES, "orderDate", "orderNos")
QUOTE = Kind("Quote", "salesQuotes", "salesQuoteLines", "documentDate", "quoteNos")
KINDS = (ORDER, QUOTE)


def kind_of(row: Row) -> Kind:
    """The type of a document or of a line's document. Rows leave out that of quotes, the first of all."""
    return ORDER if row.get("documentType") == ORDER.name else QUOTE


_ADDRESS = {
    "AddressLine1": "addressLine1",
    "AddressLine2": "addressLine2",
    "City": "city",
    "State": "state",
    "Country": "country",
    "PostCode": "postalCode",
}


def _address(prefix: str) -> dict[str, str]:
    return {prefix + name: own for name, own in _ADDRESS.items()}


SELL_TO = _address("sellTo") | {
    "customerName": "displayName",
    "sellToContact": "contact",
    "phoneNumber": "phoneNumber",
    "email": "email",
    "shippingAgentCode": "shippingAgentCode",
}
SHIP_TO = _address("shipTo") | {"shipToName": "displayName", "shipToContact": "contact"}
BILL_TO = _address("billTo") | {
    "billToName": "displayName",
    "billToContact": "contact",
    "salesperson": "salespersonCode",
    "pricesIncludeTax": "pricesIncludingVAT",
    "vatBusPostingGroup": "vatBusPostingGroup",
    "customerPriceGroup": "customerPriceGroup",
    "prepaymentPercent": "prepaymentPercent",
}
"""Fields of a document, and those of the customer that they come from: who buys, who gets it, who pays."""

_SYSTEM = frozenset({"id", "lastModifiedDateTime", "systemCreatedAt", "systemModifiedBy", "systemRowVersion"})


class Source(msgspec.Struct, frozen=True):
    """What a line can be of: its table, the line's field for the id, and whether an invoice discount is given on it."""

    table: str
    id_name: str = ""
    discount: bool = True


SOURCES = {
    "Item": Source("items", "itemId"),
    "Resource": Source("resources"),
    "Account": Source("accounts", "accountId", discount=False),
}


def lines_of(work: Work, document: Row) -> list[Row]:
    """The lines of a document, in their order."""
    lines = work.store(kind_of(document).lines).having("documentId", document["id"])
    return sorted(lines, key=lambda line: line["sequence"])


def has_goods(line: Row) -> bool:
    """Whether the line is more than a comment."""
    return bool(line.get("lineObjectNumber") and line.get("quantity"))


def record_of(document: Row) -> str:
    """How refusals name a document."""
    return f"Sales Header: Document Type={kind_of(document).name}, No.={document.get('number', '')}"


def refuse_released(document: Row) -> None:
    """``ServiceError`` for a document that was released: it must be reopened first."""
    status = document.get("status", "Open")
    if status != "Open":
        record = record_of(document)
        raise errors.must_be("Status", "Open", record, status.replace("_x0020_", " "))


def one_type(work: Work, row: Row, before: Any) -> None:
    """After the type of a document was set: each page has documents of one type."""
    if kind_of(row).name != before:
        raise errors.not_implemented(f"sales documents of another type than {before}")


def refuse_goods(store: Store, found: Row) -> None:
    """``ServiceError`` for an item, resource or account that may not be sold."""
    record = f"{store.info.caption}: No.={found['number']}"
    if found.get("blocked"):
        raise errors.must_be("Blocked", "No", record, "Yes")
    if "directPosting" in store.info.fields and not found.get("directPosting"):
        raise errors.must_be("Direct Posting", "Yes", record, "No")


def copied(work: Work, row: Row, table: str) -> Row:
    """What a row has in common with rows of another table, apart from what the system says of it."""
    fields = work.store(table).info.fields
    return {name: value for name, value in row.items() if name in fields and name not in _SYSTEM}


def refuse_blocked(customer: Row, purpose: Literal["create", "post"], *, shipping: bool = True) -> None:
    """``ServiceError`` for a customer who may not buy. One blocked for shipments may still be invoiced."""
    blocked = customer.get("blocked", "_x0020_")
    if blocked == "_x0020_" or (blocked == "Ship" and purpose == "post" and not shipping):
        return
    raise errors.dialog(
        f"You cannot {purpose} this type of document when Customer {customer['number']} is blocked with type {blocked}"
    )
