"""After a crash or a lost answer: find out what became of writes that were under way (promises 1 and 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

import msgspec

from koppel.engine.action import Action, Refusal
from koppel.engine.fields import FieldEnd
from koppel.engine.plan import hold, other
from koppel.engine.recognise import Look, recognise
from koppel.odata.literals import format_instant
from koppel.odata.records import SPOKEN, Record, Scalar, Side
from koppel.store import couplings, failures, history, intents
from koppel.store.couplings import Coupling
from koppel.store.intents import Intent
from koppel.sync.pairs import merge_all
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.record import record_deletions
from koppel.sync.scope import Incoming, Scope, read_side
from koppel.sync.session import Session
from koppel.sync.write import Done
from koppel.systems.system import Written

UNDECIDED = "outcome-unknown"
CLOCKS_DIFFER = timedelta(minutes=10)
"""How far the clocks of Koppel's database and of a system may be apart."""


async def recover(session: Session, scope: Scope) -> list[Action]:
    """Pairs whose second half was created before a crash, merged with what was to be agreed on then.

    Intents of which nothing came are dropped; where it cannot be told what came of them, the record must wait for a
    person (``scope.undecided``).
    """
    mapping = scope.ready.mapping.name
    open_ = await intents.unsettled(session.connection, mapping)
    if session.job:
        await _note_updates(session, scope, [intent for intent in open_ if intent.kind == "update"])
        await _note_deletions(session, scope, [intent for intent in open_ if intent.kind == "delete"])
    actions: list[Action] = []
    for side in SIDES:
        mine = [intent for intent in open_ if intent.side == side and intent.kind == "create"]
        if mine:
            actions += await _recover_side(session, scope, side, mine)
    await session.connection.commit()
    return actions


async def _recover_side(session: Session, scope: Scope, side: Side, open_: Sequence[Intent]) -> list[Action]:
    source, mapping = other(side), scope.ready.mapping.name
    given_up = await _given_up(session, scope, source, [intent.source_id for intent in open_])
    partners = await _made(session, scope, side, [intent for intent in open_ if intent.source_id not in given_up])
    sources = await read_side(session, scope, source, [intent.source_id for intent in open_])
    known = await couplings.by_ids(session.connection, mapping, source, list(sources))
    pairs: list[tuple[Coupling, Record, Record]] = []
    settled: list[str] = []
    held: list[Action] = []
    for intent in open_:
        record, partner = sources.get(intent.source_id), partners.get(intent.source_id)
        if record is None or record.id in known or record.id in given_up or partner == []:
            settled.append(intent.source_id)
        elif partner is None:
            scope.undecided[record.id] = _undecided(side, intent, source)
            held.append(_held(scope, source, record))
        else:
            ours, theirs = (record, partner[0]) if source == "business_central" else (partner[0], record)
            pairs.append((Coupling(ours.id, theirs.id, base=intent.base, initial=source), ours, theirs))
            scope.recovered[side, record.id] = intent
    await intents.settle(session.connection, mapping, side, settled)
    merged = await merge_all(session, scope, pairs, Incoming(side=source, why="again"))
    return [*held, *map(_coupled_now, merged)]


def _coupled_now(action: Action) -> Action:
    """What an earlier run created is coupled by this one, also if nothing is left to write."""
    if action.kind != "nothing":
        return action
    return msgspec.structs.replace(action, kind="couple", reason="created before, without an answer")


async def _note_updates(session: Session, scope: Scope, open_: Sequence[Intent]) -> None:
    """Updates of which no answer was recorded: those that were made are written into the history."""
    for side in SIDES:
        mine = [intent for intent in open_ if intent.side == side]
        if not mine:
            continue
        records = await read_side(session, scope, side, [intent.intended_id for intent in mine])
        entries = [
            entry
            for intent in mine
            if intent.intended_id in records
            for entry in _entries(scope, side, intent, records[intent.intended_id])
        ]
        await history.add(session.connection, entries)
        await intents.settle(session.connection, scope.ready.mapping.name, side, [i.source_id for i in mine])


def _entries(scope: Scope, side: Side, intent: Intent, record: Record) -> Iterable[history.Entry]:
    """For the fields that do not hold any more what they held; if a person changed them since, it was after Koppel."""
    fields = {field.name: field for field in scope.ready.table.fields}
    for change in intent.changes:
        field = fields.get(change.field)
        if field is not None and not _is(field.end(side), record.values[field.index], change.old):
            yield history.Entry(
                intent.job or 0,
                scope.ready.mapping.name,
                side,
                intent.intended_id,
                "update",
                field=change.field,
                old=change.old,
                new=change.new,
                why=f"{change.why}, without an answer",
                record_name=intent.record_name,
            )


async def _note_deletions(session: Session, scope: Scope, open_: Sequence[Intent]) -> None:
    """Deletions of which no answer was recorded: what is gone was deleted by them, what is there was not."""
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
    columns = ready.end(intent.side).columns
    held = Record(intent.intended_id, "", tuple(intent.held.get(column) for column in columns))
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


def _is(end: FieldEnd, value: Scalar, old: Scalar) -> bool:
    return value == old or end.canonical(value) == end.canonical(old)


def _held(scope: Scope, source: Side, record: Record) -> Action:
    name = scope.ready.end(source).name_of(record)
    return hold(scope.ready.mapping, source, record, scope.undecided[record.id], name=name)


async def _given_up(session: Session, scope: Scope, source: Side, ids: Sequence[str]) -> set[str]:
    """Records of which a person says that they shall be created, whatever came of the first try: by a retry."""
    found = await failures.by_ids(session.connection, scope.ready.mapping.name, source, ids)
    return {id for id, failure in found.items() if failure.code == UNDECIDED and not failure.attempts}


def _undecided(side: Side, intent: Intent, about: Side) -> Refusal:
    """For the record that was to be created on ``side``, and for those there that may be it."""
    made = f" around {intent.made_at:%Y-%m-%d %H:%M} UTC" if intent.made_at else ""
    sent = f"it was sent to {SPOKEN[side]}{made}, and what came of that cannot be told"
    found = f"it may be the one that Koppel made of {intent.source_id} in {SPOKEN[other(side)]}{made}"
    return Refusal(
        code=UNDECIDED,
        kind="conflict",
        message=found if about == side else sent,
        remedy="couple the two that belong together, or retry if none of those that are there is the one",
        side=about,
    )


async def _made(session: Session, scope: Scope, side: Side, open_: Sequence[Intent]) -> dict[str, list[Record]]:
    """By source id the record that was created for it, or an empty list if none was; absent: there is no telling."""
    by_id = await read_side(session, scope, side, [intent.intended_id for intent in open_ if intent.intended_id])
    found = {i.source_id: [by_id[i.intended_id]] if i.intended_id in by_id else [] for i in open_ if i.intended_id}
    unnamed = [intent for intent in open_ if not intent.intended_id]
    if not unnamed:
        return found
    candidates = await _candidates(session, scope, side, unnamed)
    look = _look_on(scope, side)
    told = recognise(
        [look(intent.identity) for intent in unnamed],
        [look(_texts(scope, side, record)) for record in candidates],
        _filled(scope, side),
    )
    for place, intent in enumerate(unnamed):
        if place in told.unsure:
            doubt = _undecided(side, intent, side)
            scope.undecided |= {candidates[candidate].id: doubt for candidate in told.unsure[place]}
        else:
            found[intent.source_id] = [candidates[told.made[place]]] if place in told.made else []
    return found


async def _candidates(session: Session, scope: Scope, side: Side, unnamed: Sequence[Intent]) -> list[Record]:
    """The uncoupled records that are new, or were edited, since the first of these creations was tried."""
    end = scope.ready.end(side)
    made_at = min(intent.made_at for intent in unnamed if intent.made_at)
    since = format_instant(made_at - CLOCKS_DIFFER, milliseconds=True)
    pages = session.systems[side].changes(end.schema.name, end.columns, cursor=None, since=since, filter=None)
    records = [record async for page in pages for record in page.records]
    coupled = await couplings.by_ids(session.connection, scope.ready.mapping.name, side, [r.id for r in records])
    return [record for record in records if record.id not in coupled]


def _texts(scope: Scope, side: Side, record: Record) -> dict[str, Scalar]:
    places = scope.ready.end(side).places
    return {step.end.column: record.values[places[step.end.column]] for step in scope.ready.table.towards(side).steps}


def _filled(scope: Scope, side: Side) -> frozenset[str]:
    """Columns that get a value by themselves: codes and references, by defaults."""
    steps = scope.ready.table.towards(side).steps
    return frozenset(step.end.column for step in steps if step.end.kind != "text")


def _look_on(scope: Scope, side: Side) -> Callable[[Mapping[str, Scalar]], Look]:
    """How records look that Koppel makes on a side: the texts of the columns that it writes."""
    forms = {step.end.column: step.end.canonical for step in scope.ready.table.towards(side).steps}

    def look(values: Mapping[str, Scalar]) -> Look:
        texts = ((column, value) for column, value in values.items() if isinstance(value, str) and column in forms)
        return {column: form for column, value in texts if (form := forms[column](value)) is not None}

    return look
