"""The schema of a Business Central table, from the CSDL of its route."""

from __future__ import annotations

from koppel.errors import NotFoundError
from koppel.odata.csdl import EntityType, Model, Property
from koppel.systems.schema import Column, ColumnKind, TableSchema

_KINDS: dict[str, ColumnKind] = {
    "Edm.String": "text",
    "Edm.Int32": "integer",
    "Edm.Int64": "integer",
    "Edm.Decimal": "decimal",
    "Edm.Double": "decimal",
    "Edm.Boolean": "boolean",
    "Edm.Date": "date",
    "Edm.DateTimeOffset": "datetime",
    "Edm.Guid": "guid",
    "Edm.Stream": "stream",
}
_MODIFIED_AT = ("lastModifiedDateTime", "systemModifiedAt")
_MODIFIED_BY = "systemModifiedBy"
_NUMBERED_BY_SERVER = frozenset(
    f"sales{document}{part}" for document in ("Order", "Quote", "Invoice") for part in ("s", "Lines")
)
"""Documents live in buffer tables whose ids the server chooses under every route."""


def read_table(model: Model, table: str, *, takes_ids: bool) -> TableSchema:
    """The schema of an entity set, which may bear its route (``contoso/app/v1.0/machines``); ``NotFoundError`` when
    there is none.

    ``takes_ids``: the pages of the route leave ``id`` editable.
    """
    set_name = table.rpartition("/")[2]
    if set_name not in model.entity_sets:
        raise NotFoundError(f"the route has no table {set_name}", remedy="koppel check lists the tables of the route")
    entity = model.type_of(set_name)
    columns = {item.name: _column(item, model) for item in entity.properties.values() if _kind(item, model)}
    return TableSchema(
        name=table,
        set_name=set_name,
        id_column=_key(entity),
        columns=columns,
        modified_at=next((name for name in _MODIFIED_AT if name in columns), ""),
        modified_by=_MODIFIED_BY if _MODIFIED_BY in columns else "",
        takes_ids=takes_ids and set_name not in _NUMBERED_BY_SERVER,
    )


def _key(entity: EntityType) -> str:
    return entity.keys[0] if entity.keys else "id"


def _column(item: Property, model: Model) -> Column:
    """Pages do not tell which of their fields are read-only; only what the platform itself sets is known to be."""
    computed = item.name in _MODIFIED_AT or item.name.startswith("system") or item.type == "Edm.Stream"
    return Column(
        name=item.name,
        kind=_kind(item, model) or "text",
        read_name=item.name,
        max_length=item.max_length,
        scale=item.scale,
        creatable=not computed,
        updatable=not computed and item.name != "id",
        required=not item.nullable and item.name != "id",
        options={member: member for member in model.enums.get(item.type, ())},
    )


def _kind(item: Property, model: Model) -> ColumnKind | None:
    if item.collection:
        return None
    return "enum" if item.type in model.enums else _KINDS.get(item.type)
