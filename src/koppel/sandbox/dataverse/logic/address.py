"""Address columns are flat; the composite that the platform shows beside them is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from koppel.sandbox.dataverse.schema import ADDRESS_PARTS
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse


def compose(dataverse: Dataverse, table: str, row: Row, changed: Mapping[str, Any], caller: Caller) -> None:
    """Write the composite of every address that is touched."""
    for prefix, parts in dataverse.schema.tables[table].composites:
        if not parts.isdisjoint(changed):
            row[f"{prefix}_composite"] = _composite(row, prefix)


def _composite(row: Row, prefix: str) -> str | None:
    line1, line2, line3, city, state, postal_code, country = (row.get(f"{prefix}_{part}") for part in ADDRESS_PARTS)
    region = " ".join(filter(None, (state, postal_code)))
    town = ", ".join(filter(None, (city, region)))
    return "\r\n".join(filter(None, (line1, line2, line3, town, country))) or None
