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


def lines_of(work: Work, order_id: str) -> list[Row]:
    """The lines of an order, in their order."""
    return sorted(work.store(LINES).having("documentId", order_id), key=lambda line: line["sequence"])


def has_goods(line: Row) -> bool:
    """Whether the line is more than a comment."""
    return bool(line.get("lineObjectNumber") and line.get("quantity"))


def refuse_released(order: Row) -> None:
    """``ServiceError`` for an order that was released: it must be reopened first."""
    status = order.get("status", "Open")
    if status != "Open":
        record = f"Sales Header: Document Type=Order, No.={order.get('number', '')}"
        raise errors.must_be("Status", "Open", record, status.replace("_x0020_", " "))


def only_orders(work: Work, row: Row, before: Any) -> None:
    """After the type of a document was set: there are no others here."""
    if row.get("documentType") != "Order":
        raise errors.not_implemented("sales documents of another type than Order")


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
