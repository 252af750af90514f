"""Names of mappings as people give them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from koppel.document import did_you_mean
from koppel.errors import UsageError


def mapping_named(known: Collection[str], name: str) -> str:
    """The mapping that is meant, in capitals or not; ``UsageError`` when there is none."""
    found = next((each for each in known if each.casefold() == name.casefold()), None)
    if found is None:
        raise UsageError(f"there is no mapping {name!r}", remedy=did_you_mean(name.upper(), known))
    return found


def mappings_named(known: Collection[str], names: Sequence[str] | None) -> list[str]:
    """The mappings that are meant, in the order of ``known``; all for ``None``, none for an empty list."""
    wanted = {mapping_named(known, name) for name in (known if names is None else names)}
    return [name for name in known if name in wanted]
