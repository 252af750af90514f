"""Posted sales invoices become invoices (INV-…): what must be there before, where they come from, what closes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import zip_longest
from uuid import NAMESPACE_URL, uuid5

from koppel.engine.action import FollowUp, Refusal
from koppel.engine.rule import Batch, Found, Need, complete, compute, follow, precede, refuse
from koppel.odata.records import Record, Scalar
from koppel.rules.document import (
    PRODUCTS,
    WRITE_IN,
    Line,
    amount,
    coupled_products,
    lines_of,
    money,
    product_ids,
    rows_by_document,
    write_ins,
)
from koppel.rules.document_price import list_needs, new_lists, price_lists
from koppel.rules.invoice_line import AMOUNTS, ORGANIZATION, SOLD, price_decimals, price_of, tax_of

ACTIVE_BILLED, PAID_COMPLETE, PAID_PARTIAL, CANCELED = (0, 4), (2, 100001), (2, 100002), (3, 100003)

_LINES_SOLD = Need(
    name="lines",
    table="postedSalesInvoiceLines",
    columns=("documentId", *SOLD),
    key="documentId",
    of=lambda batch: [record.id for record in batch.records],
)


def _lines(batch: Batch) -> list[Line]:
    return lines_of(batch.table("lines"))


def _stock(type: str, table: str) -> Need:
    return Need(
        name=type,
        table=table,
        mapping=PRODUCTS[type],
        columns=("number", "blocked"),
        key="number",
        of=lambda batch: [line.number for line in _lines(batch) if line.type == type],
    )


_STOCK = {"Item": "items", "Resource": "resources"}


@refuse(
    reads=("number",),
    needs=(_LINES_SOLD, *coupled_products(_lines), *(_stock(type, table) for type, table in _STOCK.items()), WRITE_IN),
    of="new",
)
def lines_are_ready(batch: Batch) -> list[Refusal | None]:
    """A new invoice has lines (INV-03), of which none is blocked (INV-04) or still to be synchronised (INV-05).

    Parameter ``blocked``: ``fail``, or ``write_in`` for what sold well years ago and is blocked by now.
    """
    lines, products = rows_by_document(batch.table("lines")), product_ids(batch)
    found = {Line(type, str(row["number"])): row for type in _STOCK for row in batch.table(type)}
    stock = {line: row for line, row in found.items() if line not in write_ins(batch)}
    if batch.parameters.get("blocked") == "write_in":
        stock = {line: row for line, row in stock.items() if not row["blocked"]}
    return [_unready(lines.get(record.id, ()), products, stock) for record in batch.records]


def _unready(lines: Iterable[Found], products: dict[Line, str], stock: dict[Line, Found]) -> Refusal | None:
    if not lines:
        return Refusal(
            code="INV-03",
            message="its lines cannot be read yet",
            remedy="nothing is to be done: the next run takes it",
            kind="transient",
        )
    sold = lines_of(lines)
    blocked = next((line for line in sold if stock.get(line, {}).get("blocked")), None)
    if blocked:
        return Refusal(
            code="INV-04",
            message=f"{blocked.type.lower()} {blocked.number} on its lines is blocked",
            remedy=f"take the block off {blocked.type.lower()} {blocked.number} in Business Central, then retry",
            field="blocked",
            value=blocked.number,
        )
    missing = next((line for line in sold if line not in products and stock.get(line, {}).get("inside")), None)
    if missing is None:
        return None
    return Refusal(
        code="INV-05",
        message=f"{missing.type.lower()} {missing.number} on its lines is not coupled in {PRODUCTS[missing.type]}",
        remedy=f"synchronise {missing.number} in {PRODUCTS[missing.type]}, then this invoice goes through by itself",
        field="lineObjectNumber",
        value=missing.number,
        kind="dependency",
        via=PRODUCTS[missing.type],
        by_key=True,
    )


_ORDERS = Need(
    name="orders",
    side="dataverse",
    table="salesorder",
    columns=(
        "salesorderid",
        "ordernumber",
        "name",
        "pricelevelid",
        "opportunityid",
        "customerid_account",
        "customerid_contact",
        "ownerid",
        "owningteam",
    ),
    key="ordernumber",
    of=lambda batch: [reference for _, reference in _references(batch)],
)
_PARENTS = Need(
    name="parents",
    side="dataverse",
    table="contact",
    columns=("contactid", "parentcustomerid_account"),
    key="contactid",
    of=lambda batch: [order["customerid_contact"] for order in batch.table("orders")],
)
_BUYERS = Need(
    name="buyers",
    couplings="CUSTOMER",
    key="dataverse_id",
    of=lambda batch: [_account(batch, order) for order in batch.table("orders")],
)
_CUSTOMERS = Need(name="customers", couplings="CUSTOMER", key="key", of=lambda batch: batch.column("customerNumber"))


def _new(batch: Batch) -> list[Record]:
    """The invoices that are still to be made."""
    return [record for record, partner in zip_longest(batch.records, batch.partners) if not partner]


def _references(batch: Batch) -> list[tuple[str, Scalar]]:
    """(id, reference to an order) of the new invoices."""
    place = batch.columns["yourReference"]
    return [(record.id, record.values[place]) for record in _new(batch)]


def _account(batch: Batch, order: Found) -> Scalar:
    """The account that ordered, of a contact its parent (SO-04)."""
    parents = {row["contactid"]: row["parentcustomerid_account"] for row in batch.table("parents")}
    return order["customerid_account"] or parents.get(order["customerid_contact"])


def _origins(batch: Batch) -> dict[str, Found]:
    """The orders that new invoices come from, by the invoice's id (INV-06)."""
    orders = {row["ordernumber"]: row for row in batch.table("orders")}
    return {id: orders[reference] for id, reference in _references(batch) if reference in orders}


@refuse(reads=("customerNumber", "yourReference"), needs=(_ORDERS, _PARENTS, _BUYERS, _CUSTOMERS), of="new")
def customer_is_coupled(batch: Batch) -> list[Refusal | None]:
    """The customer of a new invoice is coupled (INV-08), and still the one who ordered (INV-07)."""
    origins = _origins(batch)
    customers = {row["key"] for row in batch.table("customers")}
    buyers = {row["dataverse_id"]: row["key"] for row in batch.table("buyers")}
    return [
        _other_customer(str(number), origins[record.id], buyers.get(_account(batch, origins[record.id])))
        if record.id in origins
        else _uncoupled(str(number), customers)
        for record, number in zip(batch.records, batch.column("customerNumber"), strict=True)
    ]


def _other_customer(number: str, order: Found, buyer: Scalar) -> Refusal | None:
    if buyer == number:
        return None
    return Refusal(
        code="INV-07",
        message=f"the customer of its order {order['ordernumber']} was changed or is not coupled: "
        f"the invoice is for {number}, the order for {buyer or 'nobody that is coupled'}",
        remedy="couple the order's account with the customer of the invoice, or correct the order in Dataverse",
        field="customerNumber",
        value=number,
    )


def _uncoupled(number: str, customers: set[Scalar]) -> Refusal | None:
    if number in customers:
        return None
    return Refusal(
        code="INV-08",
        message=f"customer {number} is not coupled in CUSTOMER",
        remedy=f"couple or synchronise {number} in CUSTOMER, then this invoice goes through by itself",
        field="customerNumber",
        value=number,
        kind="dependency",
        via="CUSTOMER",
        by_key=True,
    )


_LISTS = list_needs(lambda batch: batch.column("currencyCode"))


@precede(reads=("currencyCode", "yourReference"), needs=(_ORDERS, *_LISTS))
def price_list_first(batch: Batch) -> list[FollowUp]:
    """The price list of an invoice's currency, where it comes from no order (INV-09)."""
    origins, place = _origins(batch), batch.columns["currencyCode"]
    return new_lists(batch, [(r.id, r.values[place]) for r in _new(batch) if r.id not in origins])


@complete(reads=("number", "customerNumber", "yourReference", "currencyCode"), needs=(_ORDERS, _CUSTOMERS, *_LISTS))
def origin(batch: Batch) -> list[dict[str, Scalar]]:
    """What a new invoice takes from the order that it comes from (INV-07), or from customer and currency (INV-08)."""
    origins, lists = _origins(batch), price_lists(batch)
    accounts = {row["key"]: row["dataverse_id"] for row in batch.table("customers")}
    columns = zip(*(batch.column(name) for name in ("number", "customerNumber", "currencyCode")), strict=True)
    return [
        _of_order(origins[record.id])
        if record.id in origins
        else {
            "name": number,
            "customerid_account": accounts.get(customer),
            "pricelevelid": lists[currency].id if currency in lists else None,
        }
        for record, (number, customer, currency) in zip(batch.records, columns, strict=True)
    ]


def _of_order(order: Found) -> dict[str, Scalar]:
    taken = ("salesorderid", "name", "pricelevelid", "opportunityid", "customerid_account", "customerid_contact")
    owner = f"teams({order['owningteam']})" if order["owningteam"] else order["ownerid"]
    return {name: value for name, value in {**{n: order[n] for n in taken}, "ownerid": owner}.items() if value}


@compute(
    reads=("workDescription", "shipmentMethodCode"),
    needs=(Need(name="methods", table="shipmentMethods", columns=("code", "displayName")),),
)
def description(batch: Batch) -> list[Scalar | Refusal]:
    """The work description, or how it was shipped (INV-11)."""
    methods = {row["code"]: row["displayName"] for row in batch.table("methods")}
    columns = zip(batch.column("workDescription"), batch.column("shipmentMethodCode"), strict=True)
    return [text or methods.get(method) for text, method in columns]


_LINES = Need(
    name="lines",
    table="postedSalesInvoiceLines",
    columns=("documentId", "discountAmount"),
    key="documentId",
    of=lambda batch: [record.id for record in batch.records],
)


def _line_discounts(batch: Batch) -> list[Decimal]:
    """The discounts of each invoice's lines, added up."""
    lines = rows_by_document(batch.table("lines"))
    return [
        sum((amount(row["discountAmount"]) for row in lines.get(record.id, ())), Decimal(0)) for record in batch.records
    ]


@compute(reads=(), needs=(_LINES,))
def total_line_discount(batch: Batch) -> list[Scalar | Refusal]:
    """The discounts of the lines (INV-19)."""
    return [float(discount) for discount in _line_discounts(batch)]


@compute(
    reads=("discountAmount",),
    needs=(_LINES, Need(name="prices", side="dataverse", table="organization", columns=("issopintegrationenabled",))),
)
def total_discount(batch: Batch) -> list[Scalar | Refusal]:
    """The discount of the invoice, and unless orders are integrated, also that of its lines (INV-19)."""
    integrated = any(row["issopintegrationenabled"] for row in batch.table("prices"))
    found = zip(batch.column("discountAmount"), _line_discounts(batch), strict=True)
    return [float(amount(own) + (0 if integrated else lines)) for own, lines in found]


_SETTLED = ("totalAmountIncludingTax", "remainingAmount", "cancelled", "custLedgerEntryNumber")


def _states(batch: Batch) -> list[tuple[int, int] | None]:
    """State and status by what is paid (INV-21), unless it was cancelled (INV-22); none as long as nothing is posted
    to the customer's account."""
    return [_state(*values) for values in zip(*(batch.column(name) for name in _SETTLED), strict=True)]


def _state(total: Scalar, remaining: Scalar, cancelled: Scalar, entry: Scalar) -> tuple[int, int] | None:
    if cancelled:
        return CANCELED
    if not entry:
        return None
    if not amount(remaining):
        return PAID_COMPLETE
    return PAID_PARTIAL if amount(remaining) < amount(total) else ACTIVE_BILLED


@compute(reads=_SETTLED)
def state(batch: Batch) -> list[Scalar | Refusal]:
    """Open, paid or cancelled (INV-21, INV-22)."""
    return [found and found[0] for found in _states(batch)]


@compute(reads=_SETTLED)
def status(batch: Batch) -> list[Scalar | Refusal]:
    """Billed, paid in part, paid in full or cancelled (INV-21, INV-22)."""
    return [found and found[1] for found in _states(batch)]


@compute(reads=("totalAmountIncludingTax", "totalAmountExcludingTax"))
def total_tax(batch: Batch) -> list[Scalar | Refusal]:
    """Amount including VAT less amount (INV-19)."""
    pairs = zip(batch.column("totalAmountIncludingTax"), batch.column("totalAmountExcludingTax"), strict=True)
    return [float(amount(whole) - amount(net)) for whole, net in pairs]


@follow(
    reads=("number", "pricesIncludeTax"),
    needs=(
        ORGANIZATION,
        Need(
            name="lines",
            table="postedSalesInvoiceLines",
            columns=("documentId", "sequence", *AMOUNTS),
            key="documentId",
            of=lambda batch: [record.id for record, _ in _with_tax(batch)],
        ),
        Need(
            name="made",
            side="dataverse",
            table="invoicedetail",
            columns=("invoicedetailid",),
            key="invoicedetailid",
            of=lambda batch: [_rounding_id(invoice) for _, invoice in _with_tax(batch)],
        ),
    ),
)
def rounding(batch: Batch) -> list[FollowUp]:
    """What prices without VAT leave over of prices that include it goes on a line of its own (INV-20)."""
    lines, decimals, number = rows_by_document(batch.table("lines")), price_decimals(batch), batch.columns["number"]
    made, found = {row["invoicedetailid"] for row in batch.table("made")}, []
    for record, invoice in _with_tax(batch):
        rows = lines.get(record.id, ())
        left = sum((_left_over(row, decimals) for row in rows), Decimal(0))
        if left and _rounding_id(invoice) not in made:
            values = {"priceperunit": money(left, decimals), **_after(rows)}
            found.append(_rounding_line(record.id, invoice, str(record.values[number]), values))
    return found


def _with_tax(batch: Batch) -> list[tuple[Record, str]]:
    """The invoices whose prices include VAT, with their partners."""
    place = batch.columns["pricesIncludeTax"]
    return [pair for pair in zip(batch.records, batch.partners, strict=True) if pair[0].values[place]]


def _rounding_id(invoice: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"koppel:rounding:{invoice}"))


def _left_over(row: Found, decimals: int) -> Decimal:
    price = price_of(row, decimals, with_tax=True)
    shown = price * amount(row["quantity"]) + tax_of(row) - amount(row["discountAmount"])
    return amount(row["netAmountIncludingTax"]) - shown


def _after(rows: Iterable[Found]) -> dict[str, Scalar]:
    """What puts a line behind these (INV-12)."""
    last = max((int(str(row["sequence"] or 0)) for row in rows), default=0) + 1
    return {"lineitemnumber": last, "sequencenumber": last}


def _rounding_line(record: str, invoice: str, number: str, values: Mapping[str, Scalar]) -> FollowUp:
    return FollowUp(
        side="dataverse",
        table="invoicedetail",
        id=_rounding_id(invoice),
        values={
            "invoiceid": invoice,
            "isproductoverridden": True,
            "productdescription": "Rounding",
            "ispriceoverridden": True,
            "quantity": 1,
            **values,
        },
        record=record,
        create=True,
        name=f"Rounding of {number}",
        reason="prices that include VAT do not come out even without it (INV-20)",
    )
