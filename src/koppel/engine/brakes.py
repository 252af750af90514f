"""When a job must stop before it writes: it would delete or change more than allowed (promise 3)."""

from __future__ import annotations

import msgspec

from koppel.engine.action import ActionKind
from koppel.errors import BrakeError
from koppel.mapping.model import TableMapping

CHANGES: frozenset[ActionKind] = frozenset({"update", "uncouple"})
"""What counts as changing a coupled pair."""


class Brakes(msgspec.Struct, frozen=True):
    """``deletions``: records a job may delete. ``changes_percent``: part of a mapping's couplings that it may change or
    take apart, in percent, once there are more than ``changes_from`` of them."""

    deletions: int = 50
    changes_percent: int = 30
    changes_from: int = 200

    def of(self, mapping: TableMapping) -> Brakes:
        """These brakes with what a mapping says of its own."""
        said = msgspec.structs.asdict(mapping.brakes)
        return msgspec.structs.replace(self, **{key: value for key, value in said.items() if value is not None})

    def free_up_to(self, deletes: bool) -> int:
        """With how many couplings a job can run into nothing, whatever it does."""
        return min(self.changes_from, self.deletions) if deletes else self.changes_from


def check_brakes(brakes: Brakes, mapping: str, *, couplings: int, updates: int, deletions: int) -> None:
    """Raise ``BrakeError`` when the planned numbers are over what is allowed."""
    remedy = "look at `koppel plan`; if it is what you want, run again with --force"
    if deletions > brakes.deletions:
        raise BrakeError(
            f"this run would delete {deletions} records, {brakes.deletions} are allowed; nothing was written",
            place=mapping,
            remedy=remedy,
        )
    if couplings > brakes.changes_from and updates * 100 > couplings * brakes.changes_percent:
        raise BrakeError(
            f"this run would change {updates} of {couplings} coupled records, "
            f"{brakes.changes_percent} % are allowed; nothing was written",
            place=mapping,
            remedy=remedy,
        )
