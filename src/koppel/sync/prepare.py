"""A mapping made ready for a run: its fields bound to the columns that the two systems really show.

What a route of Business Central does not show is left out and reported; what Dataverse does not know is a mistake in
the mapping and stops it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches

import msgspec

from koppel.engine.fields import Field, FieldEnd, Stage, in_groups, looks_up
from koppel.engine.pair import Table
from koppel.engine.plan import other
from koppel.engine.rule import RULES, Rule, rule_named
from koppel.engine.values import ValueKind, canonical
from koppel.errors import MappingError, NotFoundError
from koppel.mapping.model import NONE, Endpoint, FieldMapping, TableMapping
from koppel.odata.filter import compile_filter
from koppel.odata.records import SPOKEN, Record, Scalar, Side
from koppel.odata.syntax import columns_of, parse_filter
from koppel.sync.stages import require_rows, stages_of
from koppel.sync.templates import Choice, choices, filter_columns, require_columns
from koppel.sync.watched import WatchedTable, require_plain_filter, watched_tables
from koppel.systems.schema import Column, TableSchema
from koppel.systems.system import Columns, System

SIDES: tuple[Side, Side] = ("business_central", "dataverse")

_KINDS: Mapping[str, ValueKind] = {
    "text": "text",
    "integer": "number",
    "decimal": "number",
    "money": "number",
    "boolean": "boolean",
    "date": "date",
    "datetime": "datetime",
    "guid": "guid",
    "lookup": "guid",
    "choice": "number",
    "enum": "enum",
}


class End(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a ready mapping.

    ``columns``: what is read, the fields' columns first, in field order, then what filter, key and rules need.
    ``places``: where a column stands in ``Record.values``, as it was read: what a rule computes from it stands
    elsewhere. ``passes``: whether a record is inside the filter;
    ``None`` when only the system can tell. ``is_new``: whether one that nobody coupled yet takes part. ``deciding``:
    places of the fields that the filter looks at. ``watched``: tables whose changed rows are changes of the records
    they belong to.
    """

    side: Side
    schema: TableSchema
    columns: Columns
    places: Mapping[str, int]
    filter: str
    passes: Callable[[Record], bool] | None
    is_new: Callable[[Record], bool]
    deciding: frozenset[int]
    key: int
    watched: tuple[WatchedTable, ...] = ()

    def name_of(self, record: Record) -> str:
        """What people call the record: the value of its key column."""
        value = record.values[self.key]
        return record.id if value in (None, "") else str(value)


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping ready to run. ``computes``: rules by field index. ``lacking``: what had to be left out, and why.

    ``gate``: the table with no other fields than those that the filters look at, and the rest of their groups.
    ``templates``: by the side where records are created. ``parts``: the mappings of its parts (``part_of``).
    """

    mapping: TableMapping
    table: Table
    gate: Table
    business_central: End
    dataverse: End
    computes: tuple[tuple[int, Rule], ...]
    lacking: tuple[str, ...]
    templates: Mapping[Side, tuple[Choice, ...]] = {}
    parts: tuple[str, ...] = ()

    def end(self, side: Side) -> End:
        """The mapping's end on ``side``."""
        return self.business_central if side == "business_central" else self.dataverse

    def beside(self, side: Side, table: str) -> str:
        """A table as history names it: by nothing if it is the mapping's own."""
        return "" if table == self.end(side).schema.name else table

    def mapped(self, side: Side, record: Record | None) -> dict[str, Scalar]:
        """The mapped columns of a record of ``side``."""
        columns = self.end(side).columns[: len(self.table.fields)]
        values = record.values if record else ()
        return {column: value for column, value in zip(columns, values, strict=False) if column}

    def rules(self, names: Iterable[str]) -> list[Rule]:
        """The registered rules of these names."""
        return [rule_named(name) for name in names]

    @property
    def looks_up(self) -> bool:
        """Whether values are looked up in tables, which may have changed while the records did not."""
        return any(looks_up((*f.to_dataverse, *f.to_business_central)) for f in self.table.fields)

    def is_daily(self, side: Side) -> bool:
        """Whether what comes of records of ``side`` depends on the work date, too."""
        return any(rule.daily and rule.side == side for _, rule in self.computes)


async def prepare(mapping: TableMapping, systems: Mapping[Side, System], parts: Sequence[str] = ()) -> Ready:
    """Bind a mapping to the two systems; ``parts``: the mappings of its parts.

    ``MappingError`` naming file and line for what cannot be bound.
    """
    schemas = {side: await _describe(mapping, side, systems[side]) for side in SIDES}
    lacking: list[str] = []
    mapping = _without_unshown_matches(mapping, schemas["business_central"], lacking)
    await _require_refusals(mapping, systems)
    require_columns(mapping, schemas)
    wanted = [field for field in mapping.fields if field.enabled and mapping.kind == "records"]
    kept = [field for field in wanted if await _is_shown(mapping, field, schemas, systems, lacking)]
    for field in kept:
        await require_rows(mapping, field, systems)
    fields = tuple(_field(mapping, index, field, schemas) for index, field in enumerate(kept))
    table = Table(mapping=mapping, fields=fields, groups=in_groups(fields, mapping.conflicts, mapping.drift))
    ends = {side: _end(mapping, side, schemas[side], fields) for side in SIDES}
    for side, end in ends.items():
        watched = await watched_tables(mapping, schemas[side], systems[side], lacking)
        require_plain_filter(mapping, watched, mapping.endpoint(side), end.passes)
        ends[side] = msgspec.structs.replace(end, watched=watched)
    computes = tuple((f.index, rule_named(f.mapping.compute)) for f in fields if f.mapping.compute)
    deciding = ends["business_central"].deciding | ends["dataverse"].deciding
    gates = tuple(group for group in table.groups if not deciding.isdisjoint(group.places))
    return Ready(
        mapping=mapping,
        table=table,
        gate=msgspec.structs.replace(table, groups=gates),
        business_central=ends["business_central"],
        dataverse=ends["dataverse"],
        computes=computes,
        lacking=tuple(lacking),
        templates={side: choices(mapping, side, _passing(ends[other(side)])) for side in SIDES},
        parts=tuple(parts),
    )


def _without_unshown_matches(mapping: TableMapping, schema: TableSchema, lacking: list[str]) -> TableMapping:
    """The mapping without the match groups that need a column of Business Central which the route does not show."""
    kept = []
    for group in mapping.match:
        unshown = [p.business_central for p in group if p.business_central and p.business_central not in schema.columns]
        lacking.extend(f"{schema.name}.{column} (to match by)" for column in unshown)
        if not unshown:
            kept.append(group)
    return msgspec.structs.replace(mapping, match=tuple(kept))


async def _require_refusals(mapping: TableMapping, systems: Mapping[Side, System]) -> None:
    """Without the rules that hold records back nothing must be synchronised."""
    for name in mapping.rules.refuse:
        missing = await _missing_tables(rule_named(name), systems)
        if missing:
            raise MappingError(
                f"rule {name} needs {', '.join(missing)}, which the route does not have",
                place=mapping.file,
                remedy="use the companion API (route: koppel/sync/v1.0), or leave this mapping out",
            )


async def _describe(mapping: TableMapping, side: Side, system: System) -> TableSchema:
    table = mapping.endpoint(side).table
    try:
        return await system.describe(table)
    except NotFoundError as error:
        near = get_close_matches(table, await system.tables(), n=1)
        hint = f"did you mean {near[0]}?" if near else "check the name, or the route of the connection"
        raise MappingError(f"{SPOKEN[side]} has no table {table!r}", place=mapping.file, remedy=hint) from error


async def _is_shown(
    mapping: TableMapping,
    field: FieldMapping,
    schemas: Mapping[Side, TableSchema],
    systems: Mapping[Side, System],
    lacking: list[str],
) -> bool:
    for side, column in (("business_central", field.business_central), ("dataverse", field.dataverse)):
        if not column or column in schemas[side].columns:  # type: ignore[index]
            continue
        if side == "dataverse":
            raise _unknown_column(mapping, schemas["dataverse"], column, field.line)
        lacking.append(f"{schemas['business_central'].name}.{column} (for {field.dataverse or 'a constant'})")
        return False
    for name in filter(None, (field.compute, field.lookup.by if field.lookup else "")):
        missing = await _missing_tables(RULES[name], systems) if name in RULES else []
        if missing:
            lacking.append(f"{field.name}: rule {name} needs {', '.join(missing)}")
            return False
    return True


async def _missing_tables(rule: Rule, systems: Mapping[Side, System]) -> list[str]:
    asked = [need for need in rule.needs if need.table and not need.optional]
    return [need.table for need in asked if not await has_table(systems[need.side], need.table)]


async def has_table(system: System, table: str) -> bool:
    """Whether a system shows a table."""
    try:
        await system.describe(table)
    except NotFoundError:
        return False
    return True


def _unknown_column(mapping: TableMapping, schema: TableSchema, column: str, line: int) -> MappingError:
    near = get_close_matches(column, schema.columns, n=1)
    return MappingError(
        f"table {schema.name} has no column {column!r}",
        place=f"{mapping.file}:{line}" if line else mapping.file,
        remedy=f"did you mean {near[0]}?" if near else "look at `koppel check` for the columns it has",
    )


def _field(mapping: TableMapping, index: int, field: FieldMapping, schemas: Mapping[Side, TableSchema]) -> Field:
    business_central, dataverse = (
        None if field.computed_on(side) else schemas[side].columns.get(column)
        for side, column in zip(SIDES, (field.business_central, field.dataverse), strict=True)
    )
    own: dict[Side, ValueKind | None] = {
        "business_central": _kind(business_central, field),
        "dataverse": _kind(dataverse, field),
    }
    to_dataverse, to_business_central = (stages_of(mapping, field, side, own) for side in SIDES)
    if to_dataverse or to_business_central:
        return _transformed(index, field, business_central, dataverse, to_dataverse, to_business_central)
    if field.lookup is not None or field.options:
        theirs = _kind(dataverse, field)
        kinds: tuple[ValueKind, ValueKind] = _named(_kind(business_central, field)), theirs or "guid"
        length = scale = None
    else:
        kinds = _common_kind(mapping, field, (_kind(business_central, field), _kind(dataverse, field)))
        length, scale = _least(business_central, dataverse, "max_length"), _least(business_central, dataverse, "scale")
    return Field(
        index=index,
        mapping=field,
        business_central=_field_end(field.business_central, business_central, kinds[0], length, scale),
        dataverse=_field_end(field.dataverse, dataverse, kinds[1], length, scale),
    )


def _transformed(
    index: int,
    field: FieldMapping,
    business_central: Column | None,
    dataverse: Column | None,
    to_dataverse: tuple[Stage, ...],
    to_business_central: tuple[Stage, ...],
) -> Field:
    """A field whose two columns hold different things: each is compared with what should stand in it."""
    ends = [
        _field_end(
            name,
            column,
            _kind(column, field) or "text",
            column.max_length if column else None,
            column.scale if column else None,
        )
        for name, column in ((field.business_central, business_central), (field.dataverse, dataverse))
    ]
    return Field(
        index=index,
        mapping=field,
        business_central=ends[0],
        dataverse=ends[1],
        to_dataverse=to_dataverse,
        to_business_central=to_business_central,
    )


def _named(kind: ValueKind | None) -> ValueKind:
    """References name records by codes; an id stays one."""
    return "guid" if kind == "guid" else "code"


def _kind(column: Column | None, field: FieldMapping) -> ValueKind | None:
    if column is None:
        return None
    return "code" if field.code and column.kind == "text" else _KINDS[column.kind]


def _common_kind(
    mapping: TableMapping, field: FieldMapping, kinds: tuple[ValueKind | None, ValueKind | None]
) -> tuple[ValueKind, ValueKind]:
    first, second = kinds[0] or kinds[1] or "text", kinds[1] or kinds[0] or "text"
    texts = ("text", "code", "enum")
    if first == second or (first in texts and second in texts):
        common: ValueKind = "code" if "code" in (first, second) else first if first == second else "text"
        return common, common
    if {first, second} == {"date", "datetime"}:
        return "date", "date"  # the time of day is nothing that both sides know
    raise MappingError(
        f"{field.business_central} holds a {first}, {field.dataverse} a {second}",
        place=f"{mapping.file}:{field.line}",
        remedy="map fields of one kind, or map a choice through an option mapping",
    )


def _least(one: Column | None, two: Column | None, name: str) -> int | None:
    known = [getattr(column, name) for column in (one, two) if column and getattr(column, name) is not None]
    return min(known, default=None)


def _field_end(name: str, column: Column | None, kind: ValueKind, compared: int | None, scale: int | None) -> FieldEnd:
    return FieldEnd(
        column=name,
        kind=kind,
        canonical=canonical(kind, length=compared, scale=scale),
        length=column.max_length if column and kind in ("text", "code") else None,
        scale=column.scale if column else None,
        creatable=column.creatable if column else True,
        updatable=column.updatable if column else True,
    )


def _end(mapping: TableMapping, side: Side, schema: TableSchema, fields: tuple[Field, ...]) -> End:
    endpoint = mapping.endpoint(side)
    wanted = [endpoint.key, *_of_matches(mapping, side), *_of_rules(mapping, side, schema)]
    wanted += [*endpoint.deactivate, *endpoint.reopen, endpoint.known_by, endpoint.order]
    wanted += [column_behind(schema, path) for path in sorted(filter_columns(mapping, side))]
    new = "" if endpoint.new == NONE else endpoint.new
    wanted += [column_behind(schema, path) for path in sorted(_asked_for(new))]
    in_filter = _asked_for(endpoint.filter)
    own = [column_behind(schema, path) for path in sorted(in_filter)]
    for column in dict.fromkeys([*wanted, *own]):
        if column and column not in schema.columns and column != schema.id_column:
            raise _unknown_column(mapping, schema, column, 0)
    extras = [column for column in dict.fromkeys([*wanted, *own]) if column]
    columns = (*(field.end(side).column for field in fields), *extras)
    computed = {f.index for f in fields if f.mapping.compute and rule_named(f.mapping.compute).side == side}
    places: dict[str, int] = {}
    for place, column in enumerate(columns):
        if place not in computed:
            places.setdefault(column, place)
    return End(
        side=side,
        schema=schema,
        columns=columns,
        places=places,
        filter=endpoint.filter,
        passes=_passes(endpoint.filter, in_filter, schema, places),
        is_new=_is_new(mapping, endpoint, schema, places),
        deciding=frozenset(field.index for field in fields if field.end(side).column in own),
        key=places[endpoint.key],
    )


def _asked_for(filter: str) -> set[str]:
    return columns_of(parse_filter(filter)) if filter else set()


def _is_new(
    mapping: TableMapping, endpoint: Endpoint, schema: TableSchema, places: Mapping[str, int]
) -> Callable[[Record], bool]:
    if endpoint.new == NONE:
        return lambda record: False
    found = _passes(endpoint.new, _asked_for(endpoint.new), schema, places)
    if found is None:
        raise MappingError(
            f"`new` asks for more than columns of {schema.name}: {endpoint.new}",
            place=mapping.file,
            remedy="ask for columns of the table itself",
        )
    return found


def _of_matches(mapping: TableMapping, side: Side) -> list[str]:
    return [
        pair.business_central if side == "business_central" else pair.dataverse
        for group in mapping.match
        for pair in group
    ]


def _of_rules(mapping: TableMapping, side: Side, schema: TableSchema) -> list[str]:
    names = [*mapping.rules.refuse, *mapping.rules.complete, *mapping.rules.succeed]
    names += [*mapping.rules.precede, *mapping.rules.follow, *mapping.rules.gone, *mapping.rules.uncouple]
    names += [field.compute for field in mapping.fields if field.compute and field.enabled]
    rules = [rule_named(name) for name in names]
    return [column for rule in rules if rule.side == side for column in rule.reads if column in schema.columns]


def column_behind(schema: TableSchema, path: str) -> str:
    """The column whose value answers for a name in a filter; empty when only the system can follow the path.

    ``_x_value`` is the lookup ``x``; the key of a lookup's target (``x/accountid``) is the lookup's own value.
    """
    head, _, tail = path.partition("/")
    column = next((c for c in schema.columns.values() if head in (c.name, c.read_name)), None)
    if tail and (column is None or column.kind != "lookup" or not tail.endswith("id") or "/" in tail):
        return ""
    return column.name if column else path


def _passing(end: End) -> Callable[[str], Callable[[Record], bool] | None]:
    """How filters other than the mapping's own are tested on records of an end."""

    def passing(text: str) -> Callable[[Record], bool] | None:
        return _passes(text, _asked_for(text), end.schema, end.places)

    return passing


def _passes(
    text: str, in_filter: set[str], schema: TableSchema, places: Mapping[str, int]
) -> Callable[[Record], bool] | None:
    if not text:
        return lambda record: True
    if not all(column_behind(schema, path) for path in in_filter):
        return None

    def read(path: str) -> Callable[[Record], Scalar]:
        place = places[column_behind(schema, path)]
        return lambda record: record.values[place]

    return compile_filter(text, read=read)
