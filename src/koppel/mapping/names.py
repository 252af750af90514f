"""Names of mappings as people give them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from koppel.document import did_you_mean
from koppel.errors import UsageError
from koppel.mapping.model import TableMapping


def mapping_named(known: Collection[str], name: str) -> str:
    """The mapping that is meant, in capitals or not; ``UsageError`` when there is none."""
    found = next((each for each in known if each.casefold() == name.casefold()), None)
    if found is None:
        raise UsageError(f"there is no mapping {name!r}", remedy=did_you_mean(name.upper(), known))
    return found


def mappings_named(known: Mapping[str, TableMapping], names: Sequence[str] | None) -> list[str]:
    """The mappings that are meant, in the order of ``known``: for ``None`` those that are on, none for no names."""
    if names is None:
        return [name for name, mapping in known.items() if mapping.enabled]
    wanted = {mapping_named(known, name) for name in names}
    return [name for name in known if name in wanted]
