"""Submitted orders of Dataverse become orders of Business Central, which leads from then on (SO-…)."""

from __future__ import annotations

from collections.abc import Iterable

from koppel.engine.action import FollowUp, Refusal
from koppel.engine.rule import Batch, Found, Need, compute, follow, gone, refuse
from koppel.odata.records import Scalar
from koppel.rules.company import stamp
from koppel.rules.document import amount, rows_by_document
from koppel.rules.new_order import REFERENCE, TOTALS, order_discount

ACTIVE, SUBMITTED, CANCELED, FULFILLED, INVOICED = range(5)
PENDING, IS_INVOICED = 2, 100003
"""Of ``statuscode``: of an active order, and of an invoiced one."""


def _numbers(batch: Batch) -> list[Scalar]:
    return batch.column("ordernumber")


@refuse(
    side="dataverse",
    reads=(),
    needs=(Need(name="organization", side="dataverse", table="organization", columns=("issopintegrationenabled",)),),
    of="new",
)
def integration_is_on(batch: Batch) -> list[Refusal | None]:
    """Without the integration of orders Dataverse works orders off itself, and nothing is taken over (SO-02)."""
    if any(row["issopintegrationenabled"] for row in batch.table("organization")):
        return [None] * len(batch.records)
    refusal = Refusal(
        code="SO-02",
        message="the integration of sales orders is off in Dataverse",
        remedy="set `issopintegrationenabled` of its organisation, or switch this mapping off",
        kind="transient",
    )
    return [refusal] * len(batch.records)


@refuse(
    side="dataverse",
    reads=("ordernumber",),
    needs=(
        Need(name="there", table="salesOrders", columns=("number", "yourReference"), key="yourReference", of=_numbers),
        Need(
            name="posted",
            table="postedSalesInvoices",
            columns=("number", "yourReference"),
            key="yourReference",
            of=_numbers,
        ),
    ),
    of="new",
)
def not_taken_over(batch: Batch) -> list[Refusal | None]:
    """No order of Dataverse is made in Business Central twice, posted or not (SO-02)."""
    there = {row["yourReference"]: ("order", row["number"]) for row in batch.table("there")}
    posted = {row["yourReference"]: ("posted invoice", row["number"]) for row in batch.table("posted")}
    return [_taken_over(str(number), (posted | there).get(number)) for number in _numbers(batch)]


def _taken_over(number: str, found: tuple[str, Scalar] | None) -> Refusal | None:
    if len(number) > REFERENCE:
        return Refusal(
            code="SO-05",
            message=f"its number has {len(number)} characters, and Business Central refers to it by {REFERENCE}",
            remedy="Dataverse lets no number be changed: make a new order with a shorter one",
            field="ordernumber",
            value=number,
        )
    if found is None:
        return None
    kind, other = found
    return Refusal(
        code="SO-02",
        message=f"{kind} {other} in Business Central is of this order already (Your Reference {number})",
        remedy=f"release {other} and couple the two, or clear its reference if it is of another one"
        if kind == "order"
        else "it was invoiced: close the order in Dataverse",
        field="ordernumber",
        value=number,
        kind="conflict",
    )


@refuse(side="dataverse", reads=("statecode", "lastbackofficesubmit"), of="coupled")
def is_underway(batch: Batch) -> list[Refusal | None]:
    """An order that was cancelled or fulfilled in Dataverse is left as it is; Business Central's goes on (SO-34).

    One that is not handed back yet waits: its totals tell the discount that is still to be given.
    """
    return [_not_underway(order) for order in batch.rows()]


def _not_underway(order: Found) -> Refusal | None:
    closed = {CANCELED: "cancelled", FULFILLED: "fulfilled"}.get(_integer(order["statecode"]))
    return _closed(closed) if closed else None if _is_taken_over(order) else _UNFINISHED


_UNFINISHED = Refusal(
    code="SO-17",
    message="its order is not finished in Business Central",
    remedy="see its failure",
    outside=True,
    skip=True,
)


def _integer(value: Scalar) -> int:
    return int(value or 0)


def _closed(what: str) -> Refusal:
    return Refusal(
        code="SO-34",
        message=f"it was {what} in Dataverse, and its order in Business Central is there still",
        remedy="delete or post that one, or make this one active again",
        skip=True,
    )


@follow(
    side="dataverse",
    reads=("ordernumber", "lastbackofficesubmit", *TOTALS),
    needs=(
        Need(
            name="made",
            table="salesOrders",
            columns=("id", "discountAmount"),
            key="id",
            of=lambda batch: [partner for _, partner in _discounted(batch)],
        ),
    ),
    writes={"salesOrders": ("discountAmount",)},
)
def discount(batch: Batch) -> list[FollowUp]:
    """The order discount of a new order (SO-14): Business Central takes it only once the lines are there."""
    given = {row["id"]: amount(row["discountAmount"]) for row in batch.table("made")}
    return [
        FollowUp(
            side="business_central",
            table="salesOrders",
            id=partner,
            values={"discountAmount": float(order_discount(order))},
            record=str(order["id"]),
            name=str(order["ordernumber"]),
            reason="the order discount of Dataverse, amount and percentage (SO-14)",
        )
        for order, partner in _discounted(batch)
        if partner in given and given[partner] != order_discount(order)
    ]


def _discounted(batch: Batch) -> list[tuple[Found, str]]:
    """Orders that are not handed back yet and have a discount, with their partners."""
    return [(order, partner) for order, partner in _unfinished(batch) if order_discount(order)]


def _unfinished(batch: Batch) -> list[tuple[Found, str]]:
    """Orders that are not handed back yet, each with its own ``id``, and with their partners."""
    ids = [record.id for record in batch.records]
    found = zip(ids, batch.rows(), batch.partners, strict=True)
    return [({**order, "id": id}, partner) for id, order, partner in found if not _is_taken_over(order)]


def _is_taken_over(order: Found) -> bool:
    return str(order["lastbackofficesubmit"] or "") >= "1901"


@follow(side="dataverse", reads=("ordernumber", "statecode", "lastbackofficesubmit"))
def hand_back(batch: Batch) -> list[FollowUp]:
    """Dataverse's order is marked as taken over, last of all: so it is not offered again (SO-17).

    It stays submitted, and belongs to the company; one that was left open on the way is submitted again.
    """
    today = batch.today.isoformat()
    return [
        FollowUp(
            side="dataverse",
            table="salesorder",
            id=str(order["id"]),
            values={
                "lastbackofficesubmit": today,
                **stamp(batch),
                **({"statecode": SUBMITTED} if order["statecode"] == ACTIVE else {}),
            },
            record=str(order["id"]),
            name=str(order["ordernumber"]),
            reason="Business Central has it now (SO-17)",
        )
        for order, _ in _unfinished(batch)
    ]


def _is_invoiced(lines: Iterable[Found]) -> bool:
    """Something was invoiced, and nothing is left to ship or to invoice (SO-23)."""
    left = ("outstandingQuantity", "qtyShippedNotInvoiced")
    rows = list(lines)
    return any(row["invoicedQuantity"] for row in rows) and not any(row[name] for row in rows for name in left)


_SHIPPED = Need(
    name="lines",
    table="salesOrderLines",
    columns=("documentId", "invoicedQuantity", "outstandingQuantity", "qtyShippedNotInvoiced"),
    key="documentId",
    of=lambda batch: [
        record.id for record, shipped in zip(batch.records, batch.column("fullyShipped"), strict=True) if shipped
    ],
)


def _invoiced(batch: Batch) -> list[bool]:
    lines = rows_by_document(batch.table("lines"))
    return [_is_invoiced(lines.get(record.id, ())) for record in batch.records]


@compute(reads=("fullyShipped",), needs=(_SHIPPED,))
def state(batch: Batch) -> list[Scalar | Refusal]:
    """Submitted, or invoiced once everything is (SO-21, SO-23)."""
    return [INVOICED if invoiced else SUBMITTED for invoiced in _invoiced(batch)]


@compute(reads=("fullyShipped",), needs=(_SHIPPED,))
def status(batch: Batch) -> list[Scalar | Refusal]:
    """Of an invoiced order; why one is submitted, Dataverse knows best (SO-23)."""
    return [IS_INVOICED if invoiced else None for invoiced in _invoiced(batch)]


@gone(
    side="dataverse",
    reads=("ordernumber", "statecode"),
    needs=(
        Need(
            name="posted",
            table="postedSalesInvoices",
            columns=("number", "orderId"),
            key="orderId",
            of=lambda batch: batch.partners,
        ),
    ),
)
def posted_or_deleted(batch: Batch) -> list[FollowUp]:
    """The order of Business Central is gone: invoiced (SO-30), or deleted by a person, so that Dataverse's may be
    edited and submitted again (SO-32)."""
    invoices = {row["orderId"]: row["number"] for row in batch.table("posted")}
    found = zip(batch.records, batch.partners, *(batch.column(c) for c in ("ordernumber", "statecode")), strict=True)
    return [
        write
        for record, partner, number, state in found
        if (write := _farewell(record.id, str(number), _integer(state), invoices.get(partner)))
    ]


def _farewell(id: str, number: str, state: int, invoice: Scalar) -> FollowUp | None:
    if invoice and state != INVOICED:
        values: dict[str, Scalar] = {"statecode": INVOICED, "statuscode": IS_INVOICED}
        reason = f"its order in Business Central was posted as invoice {invoice} (SO-30)"
    elif not invoice and state in (ACTIVE, SUBMITTED):
        values = {"lastbackofficesubmit": None, "statecode": ACTIVE, "statuscode": PENDING}
        reason = "its order in Business Central was deleted (SO-32)"
    else:
        return None
    return FollowUp(side="dataverse", table="salesorder", id=id, values=values, record=id, name=number, reason=reason)
