"""Salespeople from users (SP-…)."""

from __future__ import annotations

from koppel.engine.rule import Batch, Need, complete
from koppel.odata.records import Scalar

_SERIES = "SP NO. "


@complete(
    side="dataverse",
    writes={"": ("code",)},
    needs=(Need(name="salespeople", table="salespeoplePurchasers", columns=("code",), grows=True),),
)
def code(batch: Batch) -> list[dict[str, Scalar]]:
    """The next codes of the series ``SP NO. 00001`` (SP-04)."""
    taken = [_number(str(row["code"])) for row in batch.table("salespeople")]
    first = max(taken, default=0) + 1
    return [{"code": f"{_SERIES}{first + place:05d}"} for place in range(len(batch.records))]


def _number(found: str) -> int:
    digits = found.removeprefix(_SERIES)
    return int(digits) if found.startswith(f"{_SERIES}0") and digits.isdigit() else 0
