"""After a crash or a lost answer: find out what became of writes that were under way (promises 1 and 6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import msgspec

from koppel.engine.action import Action, Refusal
from koppel.engine.plan import hold, other
from koppel.engine.recognise import Look, recognise
from koppel.engine.values import Canonical, canonical
from koppel.odata.literals import format_instant, parse_instant
from koppel.odata.records import SPOKEN, Record, Scalar, Side
from koppel.store import couplings, failures, history, intents, partings
from koppel.store.couplings import Coupling
from koppel.store.intents import Intent
from koppel.sync.needs import compute
from koppel.sync.pairs import merge_all, outside_of, refusals_of
from koppel.sync.precede import with_preceding
from koppel.sync.prepare import SIDES
from koppel.sync.record import record_chunk
from koppel.sync.scope import Incoming, Scope, base_of, coupled_id, in_order, read_side
from koppel.sync.session import Session
from koppel.sync.unanswered import note_beside, note_created_alone, note_deletions, note_updates
from koppel.sync.write import Done

UNDECIDED = "outcome-unknown"
CLOCKS_DIFFER = timedelta(minutes=10)
"""How far the clocks of Koppel's database and of a system may be apart."""


async def recover(session: Session, scope: Scope) -> list[Action]:
    """Pairs whose second half was created before a crash, merged with what was to be agreed on then; records that were
    left open.

    Intents of which nothing came are dropped, unless this is a preview: then they may be those of a run at work. Where
    it cannot be told what came of them, the record must wait for a person (``scope.undecided``).
    """
    found = await intents.unsettled(session.connection, scope.ready.mapping.name, session.portion)
    open_ = [intent for intent in found if not intent.table_name]
    actions: list[Action] = []
    if session.job:
        await note_beside(session, scope, [intent for intent in found if intent.table_name])
        actions += await note_updates(session, scope, [intent for intent in open_ if intent.kind == "update"])
        await note_deletions(session, scope, [intent for intent in open_ if intent.kind == "delete"])
    for side in SIDES:
        mine = [intent for intent in open_ if intent.side == side and intent.kind == "create"]
        if mine:
            actions += await _recover_side(session, scope, side, mine)
    await session.connection.commit()
    return actions


async def couple_found(session: Session, scope: Scope, actions: Sequence[Action]) -> list[Action]:
    """Couple records that were found again as they were sent, before more is written to them, or nothing for now: what
    people did since is merged as in any pair, and written down as such. Returns what is left to do."""
    sent = [_left_to_couple(scope, action) for action in actions]
    if found := [Done(action=one) for one in sent if one]:
        await record_chunk(session, scope, found, Counter())
    return [
        msgspec.structs.replace(action, couples=False, replaces=False) if one else action
        for action, one in zip(actions, sent, strict=True)
    ]


def _left_to_couple(scope: Scope, action: Action) -> Action | None:
    return found_as_sent(scope, action) if action.kind == "update" or action.base is None else None


def found_as_sent(scope: Scope, action: Action) -> Action | None:
    """Of an action for a record that was found again, what couples it; both sides are still to be looked at."""
    keys = [(side, action.id(other(side))) for side in SIDES]
    intent = next((scope.recovered[key] for key in keys if key in scope.recovered), None)
    ours, theirs = action.records
    if not (intent and intent.base and ours and theirs):
        return None
    sent = _as_sent(scope, Coupling(ours.id, theirs.id, base=intent.base), ours, theirs)
    return msgspec.structs.replace(
        sent, couples=True, replaces=action.replaces, side=action.side, left_alone=dict.fromkeys(SIDES, "")
    )


async def _recover_side(session: Session, scope: Scope, side: Side, open_: Sequence[Intent]) -> list[Action]:
    source, mapping = other(side), scope.ready.mapping.name
    ids = [intent.source_id for intent in open_]
    known = await couplings.by_ids(session.connection, mapping, source, ids)
    given_up = await _given_up(session, scope, source, ids)
    made = await _made(session, scope, side, [intent for intent in open_ if intent.source_id not in given_up], known)
    sources = await read_side(session, scope, source, ids)
    free = await _free(session, scope, side, made, known)
    pairs: list[tuple[Coupling, Record, Record]] = []
    alone: list[tuple[Intent, Record]] = []
    settled: list[str] = []
    held: list[Action] = []
    for intent in open_:
        record, partner = sources.get(intent.source_id), made.get(intent.source_id)
        if intent.source_id not in free or partner == []:
            settled.append(intent.source_id)
        elif record is None:
            settled.append(intent.source_id)
            alone += [(intent, one) for one in partner or ()]
        elif partner is None:
            scope.undecided[record.id] = _undecided(side, intent, source)
            held.append(_held(scope, source, record))
        else:
            pairs.append(_pair(intent, known.get(record.id), record, partner[0]))
            scope.recovered[side, record.id] = intent
    if session.job:
        await note_created_alone(session, scope, alone)
        await intents.settle(session.connection, mapping, side, settled)
    incoming = Incoming(side=source, why="again")
    refusals = await refusals_of(session, scope, pairs)
    left = [pair for pair in pairs if outside_of(scope, incoming, pair, refusals)]
    merged = await merge_all(session, scope, [pair for pair in pairs if pair not in left], incoming, refusals)
    sent = [_as_sent(scope, *pair) for pair in left]
    whole = await with_preceding(session, scope, merged)
    return [*held, *(_coupled_now(action, known, side) for action in (*whole, *sent))]


def _pair(intent: Intent, pair: Coupling | None, record: Record, partner: Record) -> tuple[Coupling, Record, Record]:
    """A record and its created partner, with what was to be agreed on."""
    source = other(intent.side)
    ours, theirs = in_order(source, record, partner)
    now = pair if pair and coupled_id(pair, intent.side) == partner.id else Coupling(ours.id, theirs.id)
    return msgspec.structs.replace(now, base=intent.base, initial=source), ours, theirs


def _as_sent(scope: Scope, coupling: Coupling, ours: Record, theirs: Record) -> Action:
    """A pair that is outside the filter by now: coupled as it was sent, and nothing of it merged."""
    base = base_of(scope.codec, coupling.base) if coupling.base else None
    return Action(
        kind="couple",
        mapping=scope.ready.mapping.name,
        name=scope.ready.business_central.name_of(ours),
        reason="created before, without an answer",
        business_central_id=ours.id,
        dataverse_id=theirs.id,
        base=base,
        base_before=base,
        records=(ours, theirs),
    )


Made = Mapping[str, list[Record] | None]
"""By source id the record that was created for it, an empty list if none was, or ``None``: there is no telling."""


async def _free(session: Session, scope: Scope, side: Side, made: Made, known: Mapping[str, Coupling]) -> set[str]:
    """The sources that may be coupled with what was made of them: neither has another partner that is there."""
    mapping, ids = scope.ready.mapping.name, [record.id for some in made.values() for record in some or ()]
    taken = await couplings.by_ids(session.connection, mapping, side, ids)
    there = await read_side(session, scope, side, [coupled_id(pair, side) for pair in known.values()])

    def is_free(source_id: str) -> bool:
        partners = [record.id for record in made[source_id] or ()]
        rivals = {coupled_id(taken[id], other(side)) for id in partners if id in taken}
        mine = coupled_id(known[source_id], side) if source_id in known else ""
        return rivals <= {source_id} and (mine in partners or mine not in there)

    return {source_id for source_id in made if is_free(source_id)}


def _coupled_now(action: Action, known: Mapping[str, Coupling], side: Side) -> Action:
    """What an earlier run created is coupled by this one, also if nothing is left to write; in the place of a partner
    that is gone, if it was created for that."""
    if action.kind == "nothing":
        action = msgspec.structs.replace(action, kind="couple", reason="created before, without an answer")
    pair = known.get(action.id(other(side)))
    if pair and coupled_id(pair, side) != action.id(side):
        return msgspec.structs.replace(action, replaces=True, side=side)
    return action


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


async def _made(
    session: Session, scope: Scope, side: Side, open_: Sequence[Intent], known: Mapping[str, Coupling]
) -> Made:
    """What became of creations; a source that is ``known`` to be coupled had lost its partner then."""
    named = [intent for intent in open_ if intent.intended_id]
    by_id = await read_side(session, scope, side, [intent.intended_id for intent in named])
    alone = [intent for intent in named if intent.source_id not in known]
    before = await _there_before(session, scope, side, alone, by_id)
    found: dict[str, list[Record] | None] = {
        i.source_id: [by_id[i.intended_id]] if i.intended_id in by_id and i.intended_id not in before else []
        for i in named
    }
    unnamed = [intent for intent in open_ if not intent.intended_id]
    if not unnamed:
        return found
    if scope.ready.mapping.endpoint(side).known_by:
        return {**found, **await _told_by_mark(session, scope, side, unnamed)}
    candidates = await _candidates(session, scope, side, unnamed)
    look = _look_on(scope, side)
    told = recognise(
        [look(intent.identity) for intent in unnamed],
        [look(_texts(scope, side, record)) for record in candidates],
        _filled(scope, side),
    )
    for place, intent in enumerate(unnamed):
        if place in told.unsure:
            found[intent.source_id] = None
            doubt = _undecided(side, intent, side)
            scope.undecided |= {candidates[candidate].id: doubt for candidate in told.unsure[place]}
        else:
            found[intent.source_id] = [candidates[told.made[place]]] if place in told.made else []
    return found


async def _told_by_mark(session: Session, scope: Scope, side: Side, unnamed: Sequence[Intent]) -> Made:
    """What became of creations whose records bear a mark (``known_by``): only that counts, whatever people edited."""
    end, column = scope.ready.end(side), scope.ready.mapping.endpoint(side).known_by
    marks = {intent.source_id: intent.identity.get(column) for intent in unnamed}
    read = await session.systems[side].by_keys(end.schema.name, end.columns, column, list(marks.values()))
    records, _ = await compute(session, scope.ready, side, read)
    coupled = await couplings.by_ids(session.connection, scope.ready.mapping.name, side, [r.id for r in records])
    found: dict[str, list[Record] | None] = {}
    for intent in unnamed:
        mine = [r for r in records if r.values[end.places[column]] == marks[intent.source_id] and r.id not in coupled]
        found[intent.source_id] = mine if len(mine) < 2 else None
        if len(mine) > 1:
            scope.undecided |= dict.fromkeys((record.id for record in mine), _undecided(side, intent, side))
    return found


async def _there_before(
    session: Session, scope: Scope, side: Side, open_: Sequence[Intent], by_id: Mapping[str, Record]
) -> set[str]:
    """Ids of records that were there before they were to be created: nobody changed them since, or Koppel knew them,
    and not that they were gone when their partner was to get another one."""
    made = {intent.intended_id: intent for intent in open_ if intent.intended_id in by_id}
    if not made:
        return set()
    old = {id for id, intent in made.items() if _is_older(intent, by_id[id])}
    known = await history.known_before(session.connection, side, made, {intent.job or 0 for intent in open_})
    left = await partings.survivors(session.connection, scope.ready.mapping.name, side, known)
    return old | {id for id in known if left.get(id) != made[id].source_id}


def _is_older(intent: Intent, record: Record) -> bool:
    """Whether a record was changed last well before it was to be created."""
    at = parse_instant(record.modified_at) if record.modified_at else None
    return bool(at and intent.made_at and at < intent.made_at - CLOCKS_DIFFER)


async def _candidates(session: Session, scope: Scope, side: Side, unnamed: Sequence[Intent]) -> list[Record]:
    """The uncoupled records that are new, or were edited, since the first of these creations was tried."""
    end = scope.ready.end(side)
    made_at = min(intent.made_at for intent in unnamed if intent.made_at)
    since = format_instant(made_at - CLOCKS_DIFFER, milliseconds=True)
    pages = session.systems[side].changes(end.schema.name, end.columns, cursor=None, since=since, filter=None)
    read = [record async for page in pages for record in page.records]
    records, _ = await compute(session, scope.ready, side, read)
    coupled = await couplings.by_ids(session.connection, scope.ready.mapping.name, side, [r.id for r in records])
    return [record for record in records if record.id not in coupled]


def _forms(scope: Scope, side: Side) -> dict[str, Canonical]:
    """How columns compare by which records are known that Koppel makes on a side: the key, and those that it writes."""
    steps = scope.ready.table.towards(side).steps
    key = {scope.ready.mapping.endpoint(side).key: canonical("code")}
    return key | {step.end.column: step.end.canonical for step in steps}


def _texts(scope: Scope, side: Side, record: Record) -> dict[str, Scalar]:
    places = scope.ready.end(side).places
    return {column: record.values[places[column]] for column in _forms(scope, side)}


def _filled(scope: Scope, side: Side) -> frozenset[str]:
    """Columns that get a value by themselves: codes and references, by defaults, and keys, by numbering."""
    texts = {step.end.column for step in scope.ready.table.towards(side).steps if step.end.kind == "text"}
    return frozenset(_forms(scope, side)) - texts


def _look_on(scope: Scope, side: Side) -> Callable[[Mapping[str, Scalar]], Look]:
    """How records look that Koppel makes on a side: the texts of the columns by which they are known."""
    forms = _forms(scope, side)

    def look(values: Mapping[str, Scalar]) -> Look:
        texts = ((column, value) for column, value in values.items() if isinstance(value, str) and column in forms)
        return {column: form for column, value in texts if (form := forms[column](value)) is not None}

    return look
