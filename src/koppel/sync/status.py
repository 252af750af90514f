"""Where each mapping stands: couplings, what waits or failed, the last job, how far reading has got."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from koppel.odata.records import Side
from koppel.store import cursors, jobs, overview
from koppel.sync.prepare import SIDES
from koppel.sync.session import Session


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where one mapping stands. ``creates``: any run creates what is new, not only a full one.

    ``read_until``: when each side's changes were last read to their end.
    """

    mapping: str
    caption: str
    creates: bool
    numbers: overview.Numbers
    last_job: jobs.Job | None
    read_until: dict[Side, datetime]


async def standings(session: Session, names: Sequence[str]) -> list[Standing]:
    """Where these mappings stand; nothing is asked of either system."""
    counted = await overview.numbers(session.connection, names)
    return [await _standing(session, numbers) for numbers in counted]


async def _standing(session: Session, numbers: overview.Numbers) -> Standing:
    last = await jobs.recent(session.connection, mapping=numbers.mapping, limit=1)
    found = {side: await cursors.get(session.connection, numbers.mapping, side) for side in SIDES}
    return Standing(
        mapping=numbers.mapping,
        caption=session.mappings[numbers.mapping].caption,
        creates=not session.mappings[numbers.mapping].only_coupled,
        numbers=numbers,
        last_job=last[0] if last else None,
        read_until={side: cursor.moved_at for side, cursor in found.items() if cursor and cursor.moved_at},
    )
