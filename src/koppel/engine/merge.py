"""The three-way merge of one value (design section 3): from what changed to who is written.

The whole decision is in ``verdict``; everything else in the engine finds its inputs or carries out its answer.
"""

from __future__ import annotations

from enum import Enum

from koppel.mapping.model import Direction, Drift, Policy
from koppel.odata.records import Side


class Verdict(Enum):
    """What the merge of one field or group says."""

    NOTHING = "nothing"
    AGREE = "agree"
    TO_DATAVERSE = "to_dataverse"
    TO_BUSINESS_CENTRAL = "to_business_central"
    DRIFT = "drift"
    CONFLICT = "conflict"


def to_side(side: Side) -> Verdict:
    """The verdict that writes to ``side``."""
    return Verdict.TO_BUSINESS_CENTRAL if side == "business_central" else Verdict.TO_DATAVERSE


def verdict(
    direction: Direction,
    *,
    business_central_changed: bool,
    dataverse_changed: bool,
    alike: bool,
    policy: Policy = "ask",
    newer: Side | None = None,
    drift: Drift = "keep",
) -> Verdict:
    """Decide one field or group.

    ``alike``: the two values now are the same in canonical form. ``newer``: the side that was edited last, for
    ``newest``; where that cannot be told the conflict is held.
    """
    if not (business_central_changed or dataverse_changed):
        return Verdict.NOTHING
    if alike:
        return Verdict.AGREE
    if direction != "both":
        leads = business_central_changed if direction == "to_dataverse" else dataverse_changed
        one_way = Verdict.TO_DATAVERSE if direction == "to_dataverse" else Verdict.TO_BUSINESS_CENTRAL
        return one_way if leads or drift == "overwrite" else Verdict.DRIFT
    if business_central_changed and dataverse_changed:
        return _overrule(policy, newer)
    return Verdict.TO_DATAVERSE if business_central_changed else Verdict.TO_BUSINESS_CENTRAL


def _overrule(policy: Policy, newer: Side | None) -> Verdict:
    winner = newer if policy == "newest" else policy
    if winner is None or winner == "ask":
        return Verdict.CONFLICT
    return Verdict.TO_DATAVERSE if winner == "business_central" else Verdict.TO_BUSINESS_CENTRAL


def first_verdict(direction: Direction, *, alike: bool, initial: Side) -> Verdict:
    """Decide a field that never was synchronised: equal values agree, else the initial side wins."""
    if alike:
        return Verdict.AGREE
    if direction == "both":
        return Verdict.TO_DATAVERSE if initial == "business_central" else Verdict.TO_BUSINESS_CENTRAL
    return Verdict.TO_DATAVERSE if direction == "to_dataverse" else Verdict.TO_BUSINESS_CENTRAL
