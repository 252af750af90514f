"""Carrying out actions: creates and updates in bulk, each update on condition of the version that was read.

A refused version means that somebody edited meanwhile: the pair is read and merged again, at most five times
(promise 2). A create that is answered "exists" was made before, by us or with our id: it is read, compared and adopted
(promise 1).
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence

import msgspec

from koppel.engine.action import Action, base_after
from koppel.engine.plan import other
from koppel.errors import ExistsError, NotFoundError, OutcomeUnknownError, RemoteError, TransientError, VersionError
from koppel.odata.records import Record, Scalar, Side
from koppel.store import couplings
from koppel.store.couplings import Coupling
from koppel.store.snapshots import encode
from koppel.sync.intend import intend
from koppel.sync.pairs import plan_pairs
from koppel.sync.prepare import SIDES
from koppel.sync.reopen import change, is_closed, state_of
from koppel.sync.scope import Incoming, Scope, read_side
from koppel.sync.session import Session
from koppel.sync.succession import as_before
from koppel.systems.system import Create, Update, Written
from koppel.tracing import traced

ROUNDS = 5


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one action. ``written``: the answers by side, errors among them.

    ``superseded``: the pair had to be merged again after this; what was written counts for the history only.
    ``trouble``: what a write that followed from it was answered.
    """

    action: Action
    written: Mapping[Side, Written] = {}
    superseded: bool = False
    trouble: RemoteError | None = None

    def id(self, side: Side) -> str:
        """The record's id on ``side``: what a system chose for one that was created there, else what was planned."""
        answer = self.written.get(side)
        return answer.id if answer and answer.id else self.action.id(side)

    @property
    def failed(self) -> tuple[Side, ...]:
        """The sides whose write was refused."""
        return tuple(side for side, answer in self.written.items() if answer.error)

    @property
    def error(self) -> RemoteError | None:
        """The first refusal."""
        return next((answer.error for answer in self.written.values() if answer.error), self.trouble)

    @property
    def unknown(self) -> tuple[Side, ...]:
        """The sides of which it is not known whether they were written."""
        return tuple(side for side, answer in self.written.items() if answer.error and self._doubts(side, answer.error))

    def _doubts(self, side: Side, error: RemoteError) -> bool:
        """What has an id was sent several times before it failed for want of an answer; what has none, only once."""
        tried_again = isinstance(error, TransientError) and bool(self.action.id(side))
        return error.doubtful or tried_again or isinstance(error, OutcomeUnknownError)

    @property
    def made(self) -> tuple[Side, ...]:
        """The sides that were written."""
        return tuple(side for side, answer in self.written.items() if not answer.error)


async def try_again(session: Session, scope: Scope, tried: Sequence[Done]) -> list[Done]:
    """What became of actions once those that met an edit or an existing record were merged and sent again."""
    finished: list[Done] = []
    for round_ in range(1, ROUNDS + 1):
        worth = {place for place, one in enumerate(tried) if _is_worth_it(scope, one)}
        again = [tried[place] for place in sorted(worth)]
        finished += [one for place, one in enumerate(tried) if place not in worth]
        if not again or round_ == ROUNDS:
            return finished + again
        ids = {side: [one.action.id(side) for one in again] for side in SIDES}
        records = {side: await read_side(session, scope, side, ids[side]) for side in SIDES}
        again = [_with_answers(scope, one, records) for one in again]
        finished += [one for one in again if _is_created(one)]
        again = [one for one in again if not _is_created(one)]
        left, hopeless = await _plan_again(session, scope, again, records)
        finished += hopeless
        finished += [msgspec.structs.replace(one, superseded=True) for one in again if one not in hopeless]
        await intend(session, scope, left)
        tried = await send(session, scope, left)
    return finished


def _is_worth_it(scope: Scope, one: Done) -> bool:
    """Not if it may be that a closed record was opened for the change: it has to be closed first (``recover``)."""
    ends = ((scope.ready.end(side), scope.ready.mapping.endpoint(side).reopen) for side in one.unknown)
    opened = any(is_closed(state_of(end, one.action.record(end.side), opens), opens) for end, opens in ends)
    return isinstance(one.error, VersionError | ExistsError) and not opened


@traced("send")
async def send(session: Session, scope: Scope, actions: Sequence[Action]) -> list[Done]:
    """Do what actions say and tell what came of each at the first try; the database is left alone meanwhile.

    ``TransientError`` when a system does not answer at all.
    """
    answers = await asyncio.gather(*(_write_side(session, scope, side, actions) for side in SIDES))
    by_side = dict(zip(SIDES, answers, strict=True))
    done = [
        Done(action=action, written={side: by_side[side][place] for side in SIDES if place in by_side[side]})
        for place, action in enumerate(actions)
    ]
    _raise_when_silent(done)
    return done


async def _write_side(session: Session, scope: Scope, side: Side, actions: Sequence[Action]) -> dict[int, Written]:
    """The answers of one side, by the action's place."""
    system, end = session.systems[side], scope.ready.end(side)
    creates = [i for i, a in enumerate(actions) if a.kind == "create" and a.side == side]
    updates = [i for i, a in enumerate(actions) if a.kind == "update" and a.writes(side)]
    rows = [Create(actions[i].id(side), actions[i].writes(side), actions[i].nested) for i in creates]
    changes = [Update(actions[i].id(side), _version(actions[i], side), actions[i].writes(side)) for i in updates]
    deletes = [i for i, a in enumerate(actions) if a.kind == "delete" and a.side == side]
    doomed = [Update(actions[i].id(side), _version(actions[i], side), {}) for i in deletes]
    made = await system.create(end.schema.name, rows, end.columns) if rows else []
    opens = scope.ready.mapping.endpoint(side).reopen
    states = [state_of(end, actions[i].record(side), opens) for i in updates]
    changed = await change(system, end.schema.name, end.columns, changes, states, opens) if changes else []
    deleted = [_gone(answer) for answer in await system.delete(end.schema.name, doomed)] if doomed else []
    return dict(zip([*creates, *updates, *deletes], [*made, *changed, *deleted], strict=True))


def _gone(answer: Written) -> Written:
    """What is to be deleted and is not there any more, is deleted."""
    return Written() if isinstance(answer.error, NotFoundError) else answer


def _version(action: Action, side: Side) -> str:
    record = action.record(side)
    return record.version if record else ""


def _raise_when_silent(done: Sequence[Done]) -> None:
    """When nothing at all came through, the system is down: stop, and go on from here next time."""
    errors = [one.error for one in done if one.written]
    down = [
        error for error in errors if isinstance(error, TransientError) and not isinstance(error, OutcomeUnknownError)
    ]
    if down and len(down) == len(errors):
        raise down[0]


Records = Mapping[Side, Mapping[str, Record]]


def _with_answers(scope: Scope, one: Done, records: Records) -> Done:
    """The same, where a write was refused because it had been carried out, and only its answer was lost."""
    written = {
        side: Written(id=record.id, version=record.version, record=record)
        if side in one.unknown
        and (record := records[side].get(one.action.id(side))) is not None
        and _shows(scope, side, record, one.action)
        else answer
        for side, answer in one.written.items()
    }
    return msgspec.structs.replace(one, written=written)


def _is_created(one: Done) -> bool:
    return one.action.kind == "create" and not one.error


def _shows(scope: Scope, side: Side, record: Record, action: Action) -> bool:
    """Whether a record shows that it was written: a new one by everything in it, a changed one by anything, since
    people may have edited the rest of it meanwhile. A deletion writes nothing."""
    forms = {field.end(side).column: field.end(side).canonical for field in scope.ready.table.fields}
    places, before = scope.ready.end(side).places, action.record(side)

    def is_there(column: str, value: Scalar) -> bool:
        form = forms.get(column, _as_it_is)
        now = form(record.values[places[column]])
        return now == form(value) and (before is None or now != form(before.values[places[column]]))

    told = [is_there(column, value) for column, value in action.writes(side).items() if column in places]
    return bool(told) and (all(told) if before is None else any(told))


def _as_it_is(value: Scalar) -> Hashable:
    return value


async def _plan_again(
    session: Session, scope: Scope, again: Sequence[Done], records: Records
) -> tuple[list[Action], list[Done]]:
    """Merge pairs again as they are now; those that cannot be paired are hopeless."""
    taken = await couplings.by_ids(
        session.connection, scope.ready.mapping.name, "dataverse", [one.action.dataverse_id for one in again]
    )
    pairs: list[tuple[Coupling, Record, Record]] = []
    hopeless: list[Done] = []
    for one in again:
        ours = records["business_central"].get(one.action.business_central_id)
        theirs = records["dataverse"].get(one.action.dataverse_id)
        stored = taken.get(one.action.dataverse_id)
        if ours is None or theirs is None or (stored and stored.business_central_id != ours.id):
            hopeless.append(one)
        else:
            pairs.append((_coupling_now(scope, one, stored), ours, theirs))
    planned = await plan_pairs(session, scope, pairs, Incoming(side="dataverse", why="again"))
    before = {one.action.dataverse_id: one.action for one in again}
    return [as_before(before[action.dataverse_id], action) for action in planned], hopeless


def _coupling_now(scope: Scope, one: Done, stored: Coupling | None) -> Coupling:
    """The coupling as it would be now, with what this action has achieved so far in its base."""
    action = one.action
    if action.kind == "create":
        assert action.side is not None
        return Coupling(action.business_central_id, action.dataverse_id, initial=other(action.side))
    coupling = stored or Coupling(action.business_central_id, action.dataverse_id)
    achieved = base_after(action, one.failed)
    return coupling if achieved is None else msgspec.structs.replace(coupling, base=encode(scope.codec, *achieved))
