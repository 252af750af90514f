"""Field mappings made ready for the merge: how to compare, how to convert, what may be written when.

``sync`` builds these once a run from a mapping and the two schemas; nothing here looks at either again.
"""

from __future__ import annotations

import msgspec

from koppel.engine.values import Canonical, ValueKind
from koppel.mapping.model import Direction, FieldMapping, Policy
from koppel.odata.records import Side


class FieldEnd(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a field: its column (empty: the value is a constant or computed), kind, length in characters, and
    whether a create or an update may carry it. ``scale``: decimals kept."""

    column: str
    kind: ValueKind
    canonical: Canonical
    length: int | None = None
    scale: int | None = None
    creatable: bool = True
    updatable: bool = True


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field mapping, ready. ``index`` is its place in ``Record.values`` and in the base, on both sides."""

    index: int
    mapping: FieldMapping
    business_central: FieldEnd
    dataverse: FieldEnd

    def end(self, side: Side) -> FieldEnd:
        """The field on ``side``."""
        return self.business_central if side == "business_central" else self.dataverse

    @property
    def name(self) -> str:
        """The field as people call it."""
        return self.mapping.name


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that merge as one value: a named group, or one field alone.

    ``places``: the fields' indices. ``constant``: the one field is a constant, missing whenever the value is another.
    """

    name: str
    direction: Direction
    policy: Policy
    fields: tuple[Field, ...]
    places: frozenset[int]
    constant: bool


def in_groups(fields: tuple[Field, ...], default: Policy) -> tuple[Group, ...]:
    """Fields by their group, in the order of their first member; a field without one stands alone, a constant always.

    Nobody edits a constant: putting it back must not bring along what people wrote beside it.
    """
    members: dict[str, list[Field]] = {}
    for field in fields:
        grouped = field.mapping.group if field.mapping.constant is None else ""
        members.setdefault(grouped or f"\0{field.index}", []).append(field)
    return tuple(_group(key, found, default) for key, found in members.items())


def _group(key: str, found: list[Field], default: Policy) -> Group:
    return Group(
        name=found[0].name if key.startswith("\0") else key,
        direction=found[0].mapping.direction,
        policy=next((field.mapping.policy for field in found if field.mapping.policy), default),
        fields=tuple(found),
        places=frozenset(field.index for field in found),
        constant=found[0].mapping.constant is not None,
    )
