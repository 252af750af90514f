"""Writes of which no answer was recorded: history, couplings and bases catch up with what is there now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from koppel.engine.action import Action, Change
from koppel.engine.plan import other
from koppel.odata.records import Record, Scalar, Side
from koppel.store import couplings, history, intents
from koppel.store.couplings import Coupling, Seen
from koppel.store.history import Entry
from koppel.store.intents import Intent
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.record import creation_entry, record_deletions
from koppel.sync.reopen import is_closed, state_of
from koppel.sync.scope import Scope, coupled_id, read_side
from koppel.sync.session import Session
from koppel.sync.write import Done
from koppel.systems.system import Written


async def note_updates(session: Session, scope: Scope, open_: Sequence[Intent]) -> list[Action]:
    """Those updates that were made are written into the history, and agreed on. Returns what closes the records again
    that were opened for one that was not made."""
    left_open: list[Action] = []
    for side in SIDES:
        mine = [intent for intent in open_ if intent.side == side]
        if not mine:
            continue
        records = await read_side(session, scope, side, [intent.intended_id for intent in mine])
        there = [(intent, records[intent.intended_id]) for intent in mine if intent.intended_id in records]
        looks = [(intent, _look_into(scope.ready, side, record)) for intent, record in there]
        await history.add(session.connection, (e for intent, holds in looks for e in _entries(scope, intent, holds)))
        made = [intent for intent, holds in looks if _is_made(intent, holds)]
        await _agree(session, scope, side, made)
        unmade = [(intent, record) for intent, record in there if intent.held and intent not in made]
        closing = [action for intent, record in unmade if (action := _closing(scope, intent, record)).changes]
        left_open += closing
        known = {i.source_id for i in mine} - {action.id(other(side)) for action in closing}
        await intents.settle(session.connection, scope.ready.mapping.name, side, known)
    return left_open


def _closing(scope: Scope, intent: Intent, record: Record) -> Action:
    """Closes a record that is open now and was not; changes nothing of any other."""
    side, opens = intent.side, scope.ready.mapping.endpoint(intent.side).reopen
    now, why = state_of(scope.ready.end(side), record, opens), "opened for a change that did not come"
    state = {} if is_closed(now, opens) else intent.held
    ids = {side: intent.intended_id, other(side): intent.source_id}
    action = Action(
        kind="update",
        mapping=scope.ready.mapping.name,
        name=intent.record_name,
        reason=why,
        business_central_id=ids["business_central"],
        dataverse_id=ids["dataverse"],
        changes=tuple(Change(column, side, now.get(column), value, why) for column, value in state.items()),
        records=(record, None) if side == "business_central" else (None, record),
    )
    return msgspec.structs.replace(action, **{f"to_{side}": state})


Holds = Callable[[str, Scalar], bool]
"""Whether a record holds a value in a field, or in a column that no field has."""


def _entries(scope: Scope, intent: Intent, holds: Holds) -> Iterator[Entry]:
    """For the fields that do not hold any more what they held; if a person changed them since, it was after Koppel."""
    for change in intent.changes:
        if not holds(change.field, change.old):
            yield Entry(
                intent.job or 0,
                scope.ready.mapping.name,
                intent.side,
                intent.intended_id,
                "update",
                field=change.field,
                old=change.old,
                new=change.new,
                why=f"{change.why}, without an answer",
                record_name=intent.record_name,
                table_name=scope.ready.beside(intent.side, intent.table_name),
            )


def _is_made(intent: Intent, holds: Holds) -> bool:
    """Whether an update was carried out for sure: something that it wrote is still there."""
    return any(holds(change.field, change.new) and not holds(change.field, change.old) for change in intent.changes)


def _look_into(ready: Ready, side: Side, record: Record) -> Holds:
    """What is not read holds anything."""
    fields = {field.name: field for field in ready.table.fields}
    places = ready.end(side).places

    def holds(name: str, value: Scalar) -> bool:
        field = fields.get(name)
        if field is None:
            return name not in places or record.values[places[name]] == value
        now, canonical = record.values[field.index], field.end(side).canonical
        return now == value or canonical(now) == canonical(value)

    return holds


async def _agree(session: Session, scope: Scope, side: Side, made: Sequence[Intent]) -> None:
    """What was to be agreed on with an update is, as long as its pair is one."""
    mapping = scope.ready.mapping.name
    known = await couplings.by_ids(session.connection, mapping, side, [intent.intended_id for intent in made])
    agreed = [
        Seen(intent.intended_id, "", intent.base)
        for intent in made
        if (pair := known.get(intent.intended_id)) and pair.base and coupled_id(pair, other(side)) == intent.source_id
    ]
    await couplings.touch(session.connection, mapping, side, [seen for seen in agreed if seen.base])


async def note_deletions(session: Session, scope: Scope, open_: Sequence[Intent]) -> None:
    """What is gone was deleted by the job that was to, what is there was not."""
    ready = scope.ready
    for side in SIDES:
        mine = [intent for intent in open_ if intent.side == side]
        if not mine:
            continue
        ids = [intent.intended_id for intent in mine]
        there = await session.systems[side].by_ids(ready.end(side).schema.name, (), ids)
        gone = [(intent.job or 0, _deleted(ready, intent)) for intent in mine if intent.intended_id not in there]
        await record_deletions(session, ready, gone)
        await intents.settle(session.connection, ready.mapping.name, side, [intent.source_id for intent in mine])


def _deleted(ready: Ready, intent: Intent) -> Done:
    ids = {intent.side: intent.intended_id, other(intent.side): intent.source_id}
    held = Record(intent.intended_id, "", tuple(intent.held.get(column) for column in ready.end(intent.side).columns))
    action = Action(
        kind="delete",
        mapping=ready.mapping.name,
        name=intent.record_name,
        reason=f"{intent.why}, without an answer",
        side=intent.side,
        business_central_id=ids["business_central"],
        dataverse_id=ids["dataverse"],
        records=(held, None) if intent.side == "business_central" else (None, held),
    )
    return Done(action=action, written={intent.side: Written()})


async def note_created_alone(session: Session, scope: Scope, made: Sequence[tuple[Intent, Record]]) -> None:
    """Records that were created, and what they were created for is gone by now: coupled all the same, so that they are
    not taken for news, but for what lost its partner."""
    mapping = scope.ready.mapping.name
    await history.add(session.connection, (creation_entry(scope, intent, record.id) for intent, record in made))
    for intent, record in made:
        ids = {intent.side: record.id, other(intent.side): intent.source_id}
        if intent.base:
            pair = Coupling(ids["business_central"], ids["dataverse"], base=intent.base, job=intent.job)
            await couplings.save(session.connection, mapping, [pair], new=True)


async def note_beside(session: Session, scope: Scope, open_: Sequence[Intent]) -> None:
    """What rules wrote beside the mapping's records: it may follow again, but history tells of it now."""
    for side, table in dict.fromkeys((intent.side, intent.table_name) for intent in open_):
        mine = [intent for intent in open_ if (intent.side, intent.table_name) == (side, table)]
        columns = tuple(dict.fromkeys(change.field for intent in mine for change in intent.changes))
        rows = await session.systems[side].by_ids(table, columns, [intent.intended_id for intent in mine])
        there = [(intent, rows[intent.intended_id]) for intent in mine if intent.intended_id in rows]
        made = [creation_entry(scope, intent, row.id) for intent, row in there if intent.kind == "create"]
        made += [entry for intent, row in there for entry in _entries(scope, intent, _look_at(columns, row))]
        await history.add(session.connection, made)
        await intents.settle(session.connection, scope.ready.mapping.name, side, [intent.source_id for intent in mine])


def _look_at(columns: Sequence[str], row: Record) -> Holds:
    return lambda name, value: row.values[columns.index(name)] == value
