"""Products from items and resources: prices and stock that are never negative, and their state (PROD-…)."""

from __future__ import annotations

from koppel.engine.action import FollowUp, Refusal
from koppel.engine.rule import Batch, Need, compute, follow, refuse
from koppel.odata.records import Scalar
from koppel.rules.document import ITEM, RESOURCE, WRITE_IN, Line, write_ins

ACTIVE, RETIRED, DRAFT = 0, 1, 2


def not_negative(value: Scalar) -> float:
    """A number, or 0 where it is negative (PROD-07)."""
    return max(0.0, float(value or 0))


def _write_in(batch: Batch, type: str) -> list[Refusal | None]:
    """What stands for the lines that people write in is no product (PROD-03)."""
    refusal = Refusal(
        code="PROD-03",
        message=f"{type.lower()} stands for what is written into orders, and so is no product",
        remedy="name another Write-in Product No. in Business Central's Sales & Receivables Setup if it shall be one",
        skip=True,
    )
    return [refusal if Line(type, str(number)) in write_ins(batch) else None for number in batch.column("number")]


@refuse(reads=("number",), needs=(WRITE_IN,), of="new")
def item_is_no_write_in(batch: Batch) -> list[Refusal | None]:
    """An item that is no product of its own (PROD-03)."""
    return _write_in(batch, ITEM)


@refuse(reads=("number",), needs=(WRITE_IN,), of="new")
def resource_is_no_write_in(batch: Batch) -> list[Refusal | None]:
    """A resource that is no product of its own (PROD-03)."""
    return _write_in(batch, RESOURCE)


@compute(reads=("unitPrice",))
def price(batch: Batch) -> list[Scalar | Refusal]:
    """The price (PROD-07)."""
    return [not_negative(value) for value in batch.column("unitPrice")]


@compute(reads=("inventory",))
def inventory(batch: Batch) -> list[Scalar | Refusal]:
    """The stock of an item (PROD-07)."""
    return [not_negative(value) for value in batch.column("inventory")]


@compute(reads=("capacity",))
def capacity(batch: Batch) -> list[Scalar | Refusal]:
    """The capacity of a resource (PROD-07)."""
    return [not_negative(value) for value in batch.column("capacity")]


def _blocked_partners(batch: Batch) -> list[Scalar]:
    return [partner for partner, is_blocked in zip(batch.partners, batch.column("blocked"), strict=True) if is_blocked]


@follow(
    reads=("number", "blocked"),
    needs=(
        Need(
            name="blocked_products",
            side="dataverse",
            table="product",
            columns=("productid", "statecode"),
            key="productid",
            of=_blocked_partners,
        ),
    ),
    foreseen=True,
)
def publish_blocked(batch: Batch) -> list[FollowUp]:
    """A draft of something blocked is published: Dataverse retires only what was active (PROD-12)."""
    drafts = {row["productid"] for row in batch.table("blocked_products") if row["statecode"] == DRAFT}
    return [
        FollowUp(
            side="dataverse",
            table="product",
            id=partner,
            values={"statecode": ACTIVE},
            record=record.id,
            name=str(number),
            reason="it is retired next, as a draft cannot be (PROD-12)",
        )
        for record, partner, number in zip(batch.records, batch.partners, batch.column("number"), strict=True)
        if partner in drafts
    ]
