"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, get_args

import typer

from koppel.errors import UsageError
from koppel.mapping.model import Direction

DirectionOption = Annotated[
    str | None, typer.Option("--direction", metavar="to_dataverse|from_dataverse", help="Write towards one side only.")
]
Create = Annotated[
    bool,
    typer.Option("--create", help="Create new records on the other side, also where only coupled ones synchronise."),
]
Force = Annotated[bool, typer.Option("--force", help="Run without brakes.")]


def require_one_mapping(names: Sequence[str], records: Sequence[str]) -> None:
    """``UsageError`` when records are asked for in more than one mapping."""
    if records and len(names) != 1:
        raise UsageError("a record belongs to one mapping", remedy="Write MAPPING --record ID.")


def direction_named(text: str | None) -> Direction:
    """The direction that is meant; both when none is."""
    known: tuple[Direction, ...] = get_args(Direction)
    found = next((each for each in known if each == (text or "both").replace("-", "_").lower()), None)
    if found is None:
        raise UsageError(f"there is no direction {text!r}", remedy="Write to_dataverse or from_dataverse.")
    return found
