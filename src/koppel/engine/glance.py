"""What one side of a pair tells by itself: whether the pair has to be merged at all.

Most records that are read did not change, and an echo of Koppel's own write differs from the base at most where
the system filled in what nobody had given.
"""

from __future__ import annotations

from collections.abc import Callable

from koppel.engine.action import Bases
from koppel.engine.pair import Table
from koppel.engine.values import Unknown
from koppel.odata.records import Scalar, Side, Values

Glance = Callable[[Bases, Values], Bases | None]
"""From the base and a side's values now to the base after this look, or ``None`` when the pair has to be merged."""


def glance(table: Table, side: Side) -> Glance:
    """How records of ``side`` are looked at.

    A field that is only written to this side, and never with a blank, may hold anything as long as the source is blank.
    """
    number, width = (0, len(table.fields)) if side == "business_central" else (1, len(table.fields))
    direction = "from_dataverse" if side == "business_central" else "to_dataverse"
    free = {
        field.index: field.end("dataverse" if side == "business_central" else "business_central").canonical
        for field in table.fields
        if field.mapping.keep_blank and field.mapping.direction == direction and not field.mapping.group
    }

    def look(base: Bases, values: Values) -> Bases | None:
        then, now = base[number], values[:width]
        if then == now:
            return base
        touched = [place for place, (before, after) in enumerate(zip(then, now, strict=True)) if before != after]
        if not all(place in free and is_blank(place, base[1 - number][place]) for place in touched):
            return None
        return (now, base[1]) if number == 0 else (base[0], now)

    def is_blank(place: int, source: Scalar | Unknown) -> bool:
        return not isinstance(source, Unknown) and free[place](source) is None

    return look
