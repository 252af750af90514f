"""Fetching what rules look at, in bulk for a chunk, and running them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from koppel.engine.action import Refusal
from koppel.engine.rule import Batch, Found, Need, Parts, Rule, undeclared
from koppel.odata.records import Record, Scalar, Side
from koppel.store import couplings, options
from koppel.sync.elsewhere import not_coupled
from koppel.sync.prepare import Ready, has_table
from koppel.sync.session import Rows, Session, ready_mapping

Asked = tuple[str, str, str, tuple[str, ...], str, tuple[Scalar, ...] | None]
Fetched = dict[Asked, Sequence[Found]]
"""What the rules of one chunk have asked for so far: several look at the same rows."""
NONE: Rows = {}


async def run_rule(
    session: Session,
    ready: Ready,
    rule: Rule,
    records: Sequence[Record],
    partners: Sequence[str] = (),
    fetched: Fetched | None = None,
    planned: Rows = NONE,
) -> Any:
    """Run one rule over records of its side, with the tables it needs; ``fetched`` keeps them for the next one.

    ``planned``: what is to be written to rows of tables, which the rule finds there already.
    """
    batch = Batch(
        columns=ready.end(rule.side).places,
        records=records,
        partners=partners,
        today=session.today(),
        parameters=ready.mapping.parameters,
    )
    found = rule.function(await with_needs(session, rule.needs, batch, fetched, planned or session.foreseen_rows))
    places = undeclared(rule, found)
    assert not places, f"rule {rule.name} has to declare in `writes`: {', '.join(sorted(map('.'.join, places)))}"
    return found


async def with_needs(
    session: Session, needs: Iterable[Need], batch: Batch, fetched: Fetched | None = None, planned: Rows = NONE
) -> Batch:
    """The batch with the rows of every need; a later need may look at those before it."""
    known: Fetched = {} if fetched is None else fetched
    for need in needs:
        wanted = None if need.of is None else tuple(dict.fromkeys(v for v in need.of(batch) if v not in (None, "")))
        of = need.couplings + need.options + need.mapping
        asked = (need.side, need.table, of, need.columns, need.key, wanted)
        if asked not in known:
            known[asked] = await _fetch(session, need, wanted)
        rows = _as_planned(need, known[asked], wanted or (), planned)
        batch = msgspec.structs.replace(batch, tables={**batch.tables, need.name: rows})
    return batch


def _as_planned(need: Need, rows: Sequence[Found], wanted: Sequence[Scalar], planned: Rows) -> Sequence[Found]:
    """Rows of a need as they will be; those that are still to be made are found by their id only."""
    writes = planned.get((need.side, need.table), {})
    if not writes or need.couplings or need.options:
        return rows
    there = {row[need.key] for row in rows} if need.key else set()
    new = [{need.key: id} for id in wanted if id in writes and id not in there]
    return [
        {**{column: row.get(column) for column in need.columns}, **row, **writes.get(row[need.key], {})}
        for row in (*rows, *new)
    ]


async def _fetch(session: Session, need: Need, wanted: Sequence[Scalar] | None) -> Sequence[Found]:
    if need.couplings:
        return await _couplings(session, need, [str(value) for value in wanted or ()])
    if need.options:
        return [{"code": o.code, "value": o.value} for o in await options.every(session.connection, need.options)]
    if need.optional and not await has_table(session.systems[need.side], need.table):
        return []
    if wanted is None:
        return await _whole_table(session, need)
    if need.mapping:
        return await _inside(session, need, wanted)
    columns = tuple(dict.fromkeys((*need.columns, need.key)))
    found = await session.systems[need.side].by_keys(need.table, columns, need.key, wanted) if wanted else []
    return [dict(zip(columns, record.values, strict=True)) for record in found]


async def _inside(session: Session, need: Need, wanted: Sequence[Scalar]) -> Sequence[Found]:
    """Rows, and whether the filter of their mapping lets them through; nothing is inside one that is off."""
    mapping = session.mappings.get(need.mapping)
    if not wanted or mapping is None or not mapping.enabled:
        return []
    end = (await ready_mapping(session, need.mapping)).end(need.side)
    found = await session.systems[need.side].by_keys(need.table, (*end.columns, *need.columns), need.key, wanted)
    return [
        {
            **dict(zip(need.columns, record.values[len(end.columns) :], strict=True)),
            "inside": end.passes is None or end.passes(record),
        }
        for record in found
    ]


async def _whole_table(session: Session, need: Need) -> Sequence[Found]:
    """Set-up tables are read once a run, tables that grow each time."""
    name = f"{need.side}/{need.table}/{','.join(need.columns)}"
    if need.grows or name not in session.setup_tables:
        session.setup_tables[name] = [
            dict(zip(need.columns, record.values, strict=True))
            async for page in session.systems[need.side].query(need.table, need.columns)
            for record in page.records
        ]
    return session.setup_tables[name]  # type: ignore[return-value]


async def _couplings(session: Session, need: Need, wanted: Sequence[str]) -> list[dict[str, Scalar]]:
    if need.key == "key":
        found = await couplings.resolve_keys(session.connection, need.couplings, wanted)
        return [{"key": key, "dataverse_id": id} for key, id in found.items()]
    side: Side = "dataverse" if need.key == "dataverse_id" else "business_central"
    partner = "business_central_id" if side == "dataverse" else "dataverse_id"
    references = await couplings.resolve_ids(session.connection, need.couplings, side, wanted)
    foreseen = session.foreseen.get(need.couplings, {}) if side == "business_central" else {}
    new: list[dict[str, Scalar]] = [
        {need.key: id, partner: foreseen[id], "key": ""} for id in wanted if id in foreseen and id not in references
    ]
    return new + [
        {need.key: id, partner: reference.id, "key": reference.business_central_key}
        for id, reference in references.items()
    ]


async def compute(
    session: Session, ready: Ready, side: Side, records: Sequence[Record]
) -> tuple[list[Record], dict[str, Refusal]]:
    """The records with their computed values in place, and by id the refusals that computing them led to, or that they
    take no part as they are not coupled elsewhere."""
    refusals = await not_coupled(session, ready, records) if side == "business_central" else {}
    fetched: Fetched = {}
    for index, rule in ready.computes:
        if rule.side != side or not records:
            continue
        values = await run_rule(session, ready, rule, records, fetched=fetched)
        records = [
            _with_value(side, record, index, value, refusals) for record, value in zip(records, values, strict=True)
        ]
    return list(records), refusals


def _with_value(
    side: Side, record: Record, index: int, value: Scalar | Refusal, refusals: dict[str, Refusal]
) -> Record:
    if isinstance(value, Refusal):
        refusals.setdefault(record.id, msgspec.structs.replace(value, side=side))
        return record
    return msgspec.structs.replace(record, values=(*record.values[:index], value, *record.values[index + 1 :]))


async def refused(
    session: Session, ready: Ready, side: Side, records: Sequence[Record], *, new: bool
) -> dict[str, Refusal]:
    """By id, why records must not synchronise. ``new``: they are not coupled, and were not made by Koppel either."""
    of = ("all", "new" if new else "coupled")
    found: dict[str, Refusal] = {}
    fetched: Fetched = {}
    for rule in ready.rules(ready.mapping.rules.refuse):
        if rule.side == side and records and rule.of in of:
            reasons = await run_rule(session, ready, rule, records, fetched=fetched)
            told = ((r.id, reason) for r, reason in zip(records, reasons, strict=True) if reason)
            found.update({id: msgspec.structs.replace(reason, side=side) for id, reason in told})
    return found


class Missing(NamedTuple):
    """What rules add to a partner that is to be created: columns, and rows below it."""

    values: dict[str, Scalar]
    nested: dict[str, Sequence[Mapping[str, Scalar]]]


async def missing_parts(
    session: Session, ready: Ready, side: Side, records: Sequence[Record]
) -> dict[str, Missing | Refusal]:
    """By id, what rules add to the partner to be created for a record of ``side``, or why it cannot be made."""
    parts: dict[str, Missing | Refusal] = {record.id: Missing({}, {}) for record in records}
    for rule in ready.rules(ready.mapping.rules.complete):
        if rule.side == side and records:
            for record, more in zip(records, await run_rule(session, ready, rule, records), strict=True):
                parts[record.id] = _with_parts(parts[record.id], more, side)
    return parts


def _with_parts(known: Missing | Refusal, more: Parts | Refusal, side: Side) -> Missing | Refusal:
    if isinstance(known, Refusal):
        return known
    if isinstance(more, Refusal):
        return msgspec.structs.replace(more, side=side)
    for name, value in more.items():
        if isinstance(value, str | int | float | None):
            known.values[name] = value
        else:
            known.nested[name] = value
    return known
