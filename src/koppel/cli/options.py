"""Options that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, get_args

import typer

from koppel.errors import UsageError
from koppel.mapping.model import Direction
from koppel.odata.records import Side
from koppel.sync.prepare import SIDES
from koppel.sync.selection import listed

DirectionOption = Annotated[
    str | None, typer.Option("--direction", metavar="to_dataverse|from_dataverse", help="Write towards one side only.")
]
Create = Annotated[
    bool,
    typer.Option("--create", help="Create new records on the other side, also where only coupled ones synchronise."),
]
Unconditional = Annotated[
    bool,
    typer.Option("--unconditional", help="As --full, and every pair is merged anew: skipped, unchanged, own edits."),
]
Limit = Annotated[int, typer.Option(help="How many, the latest first.", min=1)]
Force = Annotated[bool, typer.Option("--force", help="Run without brakes.")]


Record = Annotated[
    list[str] | None, typer.Option("--record", metavar="ID", help="Only this record: its id, or its number.")
]
Records = Annotated[
    Path | None,
    typer.Option(
        "--records",
        metavar="FILE",
        allow_dash=True,
        help="Only the records a file lists, one a line; - is standard input.",
    ),
]
Where = Annotated[str, typer.Option("--where", metavar="FILTER", help="Only records that fit an OData filter.")]
Of = Annotated[
    str, typer.Option("--of", metavar="business_central|dataverse", help="The side whose columns --where names.")
]


def listed_records(record: Sequence[str] | None, file: Path | None) -> tuple[str, ...] | None:
    """The records of ``--record`` and ``--records``; ``None`` without either, and an empty file lists none."""
    if file is None:
        return tuple(record) if record else None
    return (*(record or ()), *listed(text_of(file)))


def text_of(file: Path) -> str:
    """What a file holds; ``-`` is standard input."""
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"the file cannot be read: {reason}", place=str(file)) from error


def one_of(words: Sequence[str]) -> Callable[[str], str]:
    """A parser of an option that takes one of these words."""

    def parse(text: str) -> str:
        if text not in words:
            raise typer.BadParameter(f"{text!r} is none of: {', '.join(words)}.")
        return text

    return parse


def side_named(text: str) -> Side:
    """The side that is meant."""
    found = next((each for each in SIDES if each == text.replace("-", "_").lower()), None)
    if found is None:
        raise UsageError(f"there is no side {text!r}", remedy="Write business_central or dataverse.")
    return found


def direction_named(text: str | None) -> Direction:
    """The direction that is meant; both when none is."""
    known: tuple[Direction, ...] = get_args(Direction)
    found = next((each for each in known if each == (text or "both").replace("-", "_").lower()), None)
    if found is None:
        raise UsageError(f"there is no direction {text!r}", remedy="Write to_dataverse or from_dataverse.")
    return found
