"""Names of mappings as people type them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated

import typer

from koppel.document import did_you_mean
from koppel.errors import UsageError

Mapping = Annotated[str, typer.Argument(metavar="MAPPING", help="Name of a mapping, in capitals or not.")]
Mappings = Annotated[
    list[str] | None, typer.Argument(metavar="[MAPPING]...", help="Names of mappings; all when left out.")
]


def mapping_named(known: Collection[str], name: str) -> str:
    """The mapping that is meant; ``UsageError`` when there is none."""
    found = next((each for each in known if each.casefold() == name.casefold()), None)
    if found is None:
        raise UsageError(f"there is no mapping {name!r}", remedy=did_you_mean(name.upper(), known))
    return found


def mappings_named(known: Collection[str], names: Sequence[str] | None) -> list[str]:
    """The mappings that are meant, in the order of their dependencies."""
    wanted = {mapping_named(known, name) for name in names or known}
    return [name for name in known if name in wanted]
