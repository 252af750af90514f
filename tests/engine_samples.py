"""What tests of the engine share: fields and tables built directly, and a model of the two sides that takes writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from koppel.engine.action import Action, Bases
from koppel.engine.fields import Field, FieldEnd, in_groups
from koppel.engine.pair import Pair, Table, merge_pair
from koppel.engine.translate import AllReferences, References
from koppel.engine.values import ValueKind, canonical
from koppel.mapping.model import Endpoint, FieldMapping, Lookup, TableMapping
from koppel.odata.records import Record, Scalar, Side

USERS = References({"JR": "user-jr", "PS": "user-ps"}, {"user-jr": "JR", "user-ps": "PS"})
TERMS = References({"30D": 1, "60D": 2}, {1: "30D", 2: "60D"})
REFERENCES: AllReferences = {("SALESPEOPLE", "key"): USERS, ("TERMS", "option"): TERMS}
"""Two coupled salespeople and two coupled payment terms; every other code or id is not coupled."""


def field(
    name: str,
    kind: ValueKind = "text",
    *,
    lengths: tuple[int | None, int | None] = (None, None),
    scale: int | None = None,
    dataverse: Mapping[str, bool] = {},
    business_central: Mapping[str, bool] = {},
    **mapping: Any,
) -> Field:
    """A field ``name`` here and ``cr_name`` there; ``lengths``: room in Business Central and Dataverse.

    ``business_central`` and ``dataverse`` set ``creatable`` and ``updatable`` of the ends.
    """
    ours, theirs = name, f"cr_{name}"
    if mapping.get("constant") is not None:
        ours, theirs = (ours, "") if mapping["direction"] == "from_dataverse" else ("", theirs)
    shorter = min((length for length in lengths if length is not None), default=None)
    kinds: dict[str, tuple[ValueKind, ValueKind]] = {"lookup": ("code", "guid"), "options": ("code", "number")}
    special = next((found for key, found in kinds.items() if key in mapping), (kind, kind))
    ends = [
        FieldEnd(
            column=column,
            kind=kind_,
            canonical=canonical(kind_, length=shorter, scale=scale),
            length=room,
            scale=scale,
            **flags,
        )
        for column, kind_, room, flags in zip(
            (ours, theirs), special, lengths, (business_central, dataverse), strict=True
        )
    ]
    return Field(
        index=0,
        mapping=FieldMapping(business_central=ours, dataverse=theirs, **mapping),
        business_central=ends[0],
        dataverse=ends[1],
    )


def lookup(name: str = "owner", **mapping: Any) -> Field:
    """A reference to SALESPEOPLE; ``required`` as in ``Lookup``."""
    required = mapping.pop("required", False)
    return field(name, lookup=Lookup(mapping="SALESPEOPLE", required=required), **mapping)


def option(name: str = "terms", **mapping: Any) -> Field:
    """A choice translated by the option mapping TERMS."""
    return field(name, options="TERMS", **mapping)


def table(*fields: Field, **mapping: Any) -> Table:
    """A table of these fields, numbered in order."""
    placed = tuple(msgspec.structs.replace(found, index=index) for index, found in enumerate(fields))
    described = TableMapping(
        name="CUSTOMER",
        business_central=Endpoint(table="customers", key="number", create=mapping.pop("create_here", {})),
        dataverse=Endpoint(table="account", key="name", create=mapping.pop("create_there", {})),
        fields=tuple(found.mapping for found in placed),
        **mapping,
    )
    return Table(mapping=described, fields=placed, groups=in_groups(placed, described.conflicts, described.drift))


def record(*values: Scalar, id: str = "b-1", modified_at: str = "", version: str = "1") -> Record:
    """A record of either side."""
    return Record(id=id, version=version, values=values, modified_at=modified_at)


def pair(
    business_central: tuple[Scalar, ...], dataverse: tuple[Scalar, ...], base: Bases | None = None, **more: Any
) -> Pair:
    """A coupled pair; ``times`` are the moments of the last edits."""
    ours, theirs = more.pop("times", ("", ""))
    return Pair(
        business_central=record(*business_central, modified_at=ours),
        dataverse=record(*dataverse, id="d-1", modified_at=theirs),
        base=base,
        **more,
    )


def merge(
    table: Table,
    business_central: tuple[Scalar, ...],
    dataverse: tuple[Scalar, ...],
    base: Bases | None = None,
    *,
    references: AllReferences = REFERENCES,
    **more: Any,
) -> Action:
    """Merge the values of two sides."""
    return merge_pair(table, pair(business_central, dataverse, base, **more), references)


def after_writes(table: Table, action: Action) -> tuple[tuple[Scalar, ...], tuple[Scalar, ...]]:
    """The values of both sides once the systems took what the action writes, column by column."""
    return _written(table, action, "business_central"), _written(table, action, "dataverse")


def _written(table: Table, action: Action, side: Side) -> tuple[Scalar, ...]:
    found, writes = action.record(side), action.writes(side)
    assert found is not None
    columns = [field.end(side).column for field in table.fields]
    assert set(writes) <= set(columns), "a write names a column that no field has"
    return tuple(
        writes.get(column, value) if column else value for column, value in zip(columns, found.values, strict=True)
    )
