"""Products from items and resources: prices and stock that are never negative, and their state (PROD-…)."""

from __future__ import annotations

from koppel.engine.action import Refusal
from koppel.engine.rule import Batch, compute
from koppel.odata.records import Scalar

ACTIVE, RETIRED = 0, 1


def not_negative(value: Scalar) -> float:
    """A number, or 0 where it is negative (PROD-07)."""
    return max(0.0, float(value or 0))


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


@compute(reads=("blocked",))
def state(batch: Batch) -> list[Scalar | Refusal]:
    """Blocked is retired, not blocked is active (PROD-11, PROD-12)."""
    return [RETIRED if blocked else ACTIVE for blocked in batch.column("blocked")]


@compute(side="dataverse", reads=("statecode",))
def blocked(batch: Batch) -> list[Scalar | Refusal]:
    """Whatever is not active is blocked (PROD-13)."""
    return [value != ACTIVE for value in batch.column("statecode")]
