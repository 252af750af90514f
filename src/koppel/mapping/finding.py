"""A mistake found in a mapping, and the words that checks share."""

from __future__ import annotations

import msgspec

from koppel.document import Where
from koppel.mapping.model import Direction
from koppel.odata.records import Side

SIDES: tuple[Side, Side] = ("business_central", "dataverse")
DESTINATIONS: dict[Direction, tuple[Side, ...]] = {
    "both": SIDES,
    "to_dataverse": ("dataverse",),
    "from_dataverse": ("business_central",),
}


class Finding(msgspec.Struct, frozen=True):
    """A mistake: where in the file, what, what to do; ``offset`` into the text there, -1 when it is the whole."""

    where: Where
    message: str
    remedy: str = ""
    offset: int = -1
