"""Active quotes of Dataverse become quotes of Business Central (QUOTE-…)."""

from __future__ import annotations

from koppel.engine.action import Refusal
from koppel.engine.rule import Batch, Need, Parts, complete, compute, refuse
from koppel.odata.records import Scalar
from koppel.rules.document import QUOTE
from koppel.rules.new_order import TOTALS, columns_of, needs_of, new_documents, order_discount, rows_of, written_of


@refuse(
    side="dataverse",
    reads=("quotenumber",),
    needs=(
        Need(
            name="there",
            table="salesQuotes",
            columns=("number", "yourReference"),
            key="yourReference",
            of=lambda batch: batch.column("quotenumber"),
        ),
    ),
    of="new",
)
def not_taken_over(batch: Batch) -> list[Refusal | None]:
    """No quote of Dataverse is made in Business Central twice (QUOTE-01)."""
    there = {row["yourReference"]: str(row["number"]) for row in batch.table("there")}
    return [_taken_over(str(number), there.get(number, "")) for number in batch.column("quotenumber")]


def _taken_over(number: str, other: str) -> Refusal | None:
    if not other:
        return None
    return Refusal(
        code="QUOTE-01",
        message=f"quote {other} in Business Central is of this quote already (Your Reference {number})",
        remedy=f"couple it with {other}, or clear the reference of {other} if that is of another one",
        field="quotenumber",
        value=number,
        kind="conflict",
    )


@complete(side="dataverse", reads=columns_of(QUOTE), needs=needs_of(QUOTE), writes=written_of(QUOTE))
def with_lines(batch: Batch) -> list[Parts | Refusal]:
    """The whole quote of Business Central, its lines included, or why it cannot be made (QUOTE-03, QUOTE-04)."""
    return new_documents(batch, QUOTE)


@compute(side="dataverse", reads=TOTALS)
def discount(batch: Batch) -> list[Scalar | Refusal]:
    """Both discounts of the quote, as an amount (QUOTE-04)."""
    return [float(order_discount(row)) for row in rows_of(batch)]
