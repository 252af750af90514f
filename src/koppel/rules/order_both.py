"""Sales orders that go both ways, with their lines (SO-40 … SO-47); the lines themselves are ``order_line_both``'s."""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

from koppel.engine.action import FollowUp, Refusal
from koppel.engine.rule import Batch, Found, Need, Parts, complete, compute, follow, precede, refuse
from koppel.odata.records import Scalar
from koppel.rules.document import ORDER, ORDERS_BOTH, amount, rows_by_document
from koppel.rules.document_price import list_needs, new_lists, new_own_lists, own_list_needs, own_lists, price_lists
from koppel.rules.new_order import TOTALS, columns_of, needs_of, new_documents, order_discount, written_of
from koppel.rules.price import PriceList

SUBMITTED, FULFILLED = 1, 3
_COMPLETE = 100001
"""The status (``statuscode``) of a fulfilled order."""
_INTEGRATION = Need(
    name="organization", side="dataverse", table="organization", columns=("issopintegrationenabled",), grows=True
)


@refuse(side="dataverse", reads=(), needs=(_INTEGRATION,), of="new")
def integration_is_off(batch: Batch) -> list[Refusal | None]:
    """Where the integration of orders is on, Dataverse leaves amounts to the standard, one-way orders (SO-40)."""
    if not any(row["issopintegrationenabled"] for row in batch.table("organization")):
        return [None] * len(batch.records)
    refusal = Refusal(
        code="SO-40",
        message="the integration of sales orders is on in Dataverse, which is for orders that go one way",
        remedy="switch `issopintegrationenabled` of its organisation off, or use SALESORDER-ORDER instead",
        kind="transient",
    )
    return [refusal] * len(batch.records)


@compute(side="dataverse", reads=TOTALS)
def discount(batch: Batch) -> list[Scalar | Refusal]:
    """Amount and percentage of an order's discount as one amount, which Business Central has (SO-45)."""
    return [float(order_discount(row)) if row["discountpercentage"] else row["discountamount"] for row in batch.rows()]


@compute(reads=("discountAmount",))
def no_percentage(batch: Batch) -> list[Scalar | Refusal]:
    """An amount that comes from Business Central leaves no percentage beside it (SO-45)."""
    return [None] * len(batch.records)


@complete(side="dataverse", reads=columns_of(ORDER), needs=needs_of(ORDER), writes=written_of(ORDER))
def in_business_central(batch: Batch) -> list[Parts | Refusal]:
    """A new order of Business Central, or why it or one of its lines cannot be made (SO-45). Its lines follow."""
    return [found if isinstance(found, Refusal) else _header(found) for found in new_documents(batch, ORDER)]


def _header(whole: Parts) -> Parts:
    return {name: value for name, value in whole.items() if name != ORDER.lines}


def _has_own_list(batch: Batch) -> bool:
    return batch.parameters.get("own_price_list") is True


def _with_own_list(batch: Batch) -> list[tuple[str, Scalar, Scalar]]:
    """New orders, where each has a price list of its own."""
    if not _has_own_list(batch):
        return []
    partners = batch.partners or [""] * len(batch.records)
    rows = zip(batch.records, partners, batch.column("number"), batch.column("currencyCode"), strict=True)
    return [(record.id, number, code) for record, partner, number, code in rows if not partner]


_LISTS = (*list_needs(lambda batch: batch.column("currencyCode")), *own_list_needs(_with_own_list))
_CUSTOMERS = Need(name="customers", couplings="CUSTOMER", key="key", of=lambda batch: batch.column("customerNumber"))


@precede(reads=("number", "currencyCode"), needs=_LISTS)
def price_list_first(batch: Batch) -> list[FollowUp]:
    """The price list of a new order or of its currency (SO-42, INV-09); an order that is there keeps its own."""
    if _has_own_list(batch):
        return new_own_lists(batch, _with_own_list(batch))
    found = zip(batch.records, batch.partners, batch.column("currencyCode"), strict=True)
    return new_lists(batch, [(record.id, code) for record, partner, code in found if not partner])


@complete(reads=("number", "customerNumber", "customerName", "currencyCode"), needs=(_CUSTOMERS, *_LISTS))
def in_dataverse(batch: Batch) -> list[Parts | Refusal]:
    """Name, customer and price list of a new order of Dataverse (SO-41, SO-42)."""
    accounts = {row["key"]: row["dataverse_id"] for row in batch.table("customers")}
    return [
        {
            "name": row["customerName"] or row["customerNumber"],
            "customerid_account": accounts[row["customerNumber"]],
            "pricelevelid": prices.id if prices else None,
        }
        if row["customerNumber"] in accounts
        else _uncoupled(str(row["customerNumber"]))
        for row, prices in zip(batch.rows(), _price_lists(batch), strict=True)
    ]


def _price_lists(batch: Batch) -> list[PriceList | None]:
    if _has_own_list(batch):
        own = own_lists(batch, _with_own_list(batch))
        return [own.get(record.id) for record in batch.records]
    lists = price_lists(batch)
    return [lists.get(code) for code in batch.column("currencyCode")]


def _uncoupled(number: str) -> Refusal:
    return Refusal(
        code="SO-41",
        message=f"customer {number} is not coupled in CUSTOMER",
        remedy=f"couple or synchronise {number} in CUSTOMER, then this order goes through by itself",
        field="customerNumber",
        value=number,
        kind="dependency",
        via="CUSTOMER",
        by_key=True,
    )


@compute(reads=("fullyShipped",))
def state(batch: Batch) -> list[Scalar | Refusal]:
    """Submitted, or fulfilled once everything was shipped (SO-44)."""
    return [FULFILLED if shipped else SUBMITTED for shipped in batch.column("fullyShipped")]


@compute(reads=("fullyShipped",))
def status(batch: Batch) -> list[Scalar | Refusal]:
    """Complete if it is fulfilled; why one is submitted, Dataverse knows best (SO-44)."""
    return [_COMPLETE if shipped else None for shipped in batch.column("fullyShipped")]


_PREPAYMENTS = (
    Need(
        name="coupled",
        couplings=ORDERS_BOTH,
        key="dataverse_id",
        of=lambda batch: [record.id for record in batch.records],
    ),
    Need(
        name="prepayments",
        table=ORDER.lines,
        columns=("documentId", "prepmtLineAmount", "prepmtAmtInv"),
        key="documentId",
        of=lambda batch: [row["business_central_id"] for row in batch.table("coupled")],
    ),
    Need(
        name="unpaid",
        table=ORDER.headers,
        columns=("id", "status"),
        key="id",
        of=lambda batch: [
            row["documentId"]
            for row in batch.table("prepayments")
            if amount(row["prepmtLineAmount"]) != amount(row["prepmtAmtInv"])
        ],
    ),
)


@compute(side="dataverse", reads=("statecode",), needs=_PREPAYMENTS)
def release(batch: Batch) -> list[Scalar | Refusal]:
    """What is submitted is released, once its lines are there (SO-45); what a person opens again is outside.

    Business Central releases no order whose prepayments are not all invoiced: it stays open until a person does. One
    that is released stays so.
    """
    unpaid = {row["id"] for row in batch.table("unpaid") if row["status"] != "Released"}
    partners = {row["dataverse_id"]: row["business_central_id"] for row in batch.table("coupled")}
    return ["Open" if partners.get(record.id) in unpaid else "Released" for record in batch.records]


_FREIGHT = (
    Need(name="sales_setup", table="salesReceivablesSetup", columns=("freightGLAccNo",)),
    Need(
        name="lines",
        table=ORDER.lines,
        columns=("id", "documentId", "lineType", "lineObjectNumber", "unitPrice", "shippedQuantity"),
        key="documentId",
        of=lambda batch: [
            partner
            for partner, freight in zip(batch.partners, batch.column("freightamount"), strict=True)
            if amount(freight) > 0
        ],
    ),
)


@follow(
    side="dataverse",
    reads=("freightamount", "ordernumber"),
    needs=_FREIGHT,
    writes={ORDER.lines: ("documentId", "lineType", "lineObjectNumber", "quantity", "unitPrice")},
)
def freight(batch: Batch) -> list[FollowUp]:
    """The freight of Dataverse is a line of the account for it; what is there at this price is enough (SO-47)."""
    account = next((str(row["freightGLAccNo"] or "") for row in batch.table("sales_setup")), "")
    lines = rows_by_document(batch.table("lines"))
    return [
        up
        for record, partner, order in zip(batch.records, batch.partners, batch.rows(), strict=True)
        if account and amount(order["freightamount"]) > 0
        if (up := _freight(record.id, partner, order, account, lines.get(partner, [])))
    ]


def _freight(record: str, partner: str, order: Found, account: str, lines: list[Found]) -> FollowUp | None:
    price = float(amount(order["freightamount"]))
    mine = [row for row in lines if (row["lineType"], row["lineObjectNumber"]) == ("Account", account)]
    if any(row["unitPrice"] == price for row in mine):
        return None
    there = next((row for row in mine if not row["shippedQuantity"]), None)
    line: dict[str, Scalar] = {"documentId": partner, "lineType": "Account", "lineObjectNumber": account, "quantity": 1}
    return FollowUp(
        side="business_central",
        table=ORDER.lines,
        id=str(there["id"]) if there else str(uuid5(NAMESPACE_URL, f"koppel:freight:{partner}")),
        values={**({} if there else line), "unitPrice": price},
        record=record,
        create=there is None,
        name=f"Freight of {order['ordernumber']}",
        reason="the freight of Dataverse's order (SO-47)",
    )


@follow(
    reads=("number",),
    needs=(Need(name="archiving", table="salesReceivablesSetup", columns=("id", "archiveOrders"), grows=True),),
    writes={"salesReceivablesSetup": ("archiveOrders",)},
)
def archive(batch: Batch) -> list[FollowUp]:
    """Orders that go are archived, whatever the setup says: their last figures are read there (SO-40)."""
    return [
        FollowUp(
            side="business_central",
            table="salesReceivablesSetup",
            id=str(row["id"]),
            values={"archiveOrders": True},
            record=batch.records[0].id,
            name="Sales & Receivables Setup",
            reason="the last figures of an order are read in its archive (SO-40)",
        )
        for row in batch.table("archiving")
        if not row["archiveOrders"]
    ]
