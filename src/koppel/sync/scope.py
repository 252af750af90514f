"""What planning a chunk is about: the records that came in, the run they belong to, and what it came to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import msgspec

from koppel.engine.action import Action, Bases, Refusal
from koppel.engine.match import Matches
from koppel.engine.plan import other
from koppel.odata.records import Record, Side
from koppel.store.conflicts import Conflict
from koppel.store.couplings import Coupling, Seen
from koppel.store.intents import Intent
from koppel.store.pending import Pending
from koppel.store.snapshots import Codec, decode, field_names, open_codec
from koppel.sync.match import Uncoupled
from koppel.sync.needs import compute
from koppel.sync.prepare import Ready
from koppel.sync.references import Answers
from koppel.sync.request import Request, Result
from koppel.sync.session import Session

OUTSIDE = "outside "
"""Stands before the recorded version of a record that was outside the filter."""

Why = Literal["changed", "again", "chosen", "full", "anew"]


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """Records of one side to look at, and ids that this side reports as deleted.

    ``why``: ``again`` and ``chosen`` records are looked at whoever edited them last, ``anew`` as well those that were
    skipped, or hold what was agreed on. ``decisions``: by Business
    Central id, the conflicts that a person decided. ``outside``: the system itself says that these records are outside
    the filter. ``watched``: they count as changed, since something that belongs to them is. ``behind``: the system went
    back behind this time, up to which its changes had been read. ``asked``: somebody named these very records.
    """

    side: Side
    records: Sequence[Record] = ()
    deleted: Sequence[str] = ()
    why: Why = "changed"
    decisions: Mapping[str, Sequence[Conflict]] = {}
    outside: bool = False
    watched: bool = False
    behind: str = ""
    asked: bool = False


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What a chunk came to: actions, and how many records needed none.

    ``touched``: unchanged records whose version is newer than the recorded one (echoes of own writes, mostly).
    ``watched``: see ``Incoming``. ``wrote``: sides that other workers wrote, who had a hand in it.
    """

    side: Side
    actions: list[Action]
    unchanged: int = 0
    ignored: int = 0
    looked_at: int = 0
    touched: Sequence[Seen] = ()
    why: Why = "changed"
    watched: bool = False
    wrote: Collection[Side] = ()


class Spread(msgspec.Struct, kw_only=True):
    """What a run hands out to other workers. ``settling``: as in ``carry.stream``; ``begun``: whether there was
    anything; ``wrote``: what they wrote that nobody has been told of yet; ``done``: how many portions they did."""

    request: Request
    result: Result
    settling: bool = False
    begun: bool = False
    done: int = 0
    wrote: set[Side] = msgspec.field(default_factory=set)


class Scope(msgspec.Struct, kw_only=True):
    """What a run is about. ``codec`` learns once, from the mapping's first bases.

    ``create``: uncoupled records may be created on the other side; ``create_unmatched``: also where the mapping leaves
    alone what nothing matches. ``matches``: what matching found beforehand, for a
    full run. ``contested``: conflicts met so far (Business Central id, group). ``undecided``: records that were sent
    in an earlier run without its being known what came of it; ``recovered``: those whose partner was found (side where
    it was created, id of the source), by intent. ``unsure``: there are writes of this run of which it is not known
    either.
    ``went_back``: sides on which a record came with a lower version than the one recorded. ``answers``: what
    references of few values stand for. ``ahead``: see ``Pair``. ``unfinished``: records of
    Business Central (ids) that were created, or whose partner was, and of which more is to be written.
    ``finishing``: the parts of wholes are there, so what is written ``last`` comes now.
    ``released``: by side, records that this run uncouples because a rule puts their partners outside. ``uncoupled``:
    what the pass of the moment has read of whole sides to find matches there. ``refused``: by side, why records that
    were read as partners cannot be computed. ``spread``: if others may have a hand in
    the run. ``led``: in a preview, the fields (by Business Central id and name) that one side leads though nothing
    changed; a run has written them down.
    """

    ready: Ready
    codec: Codec
    create: bool
    create_unmatched: bool = False
    matches: Matches | None = None
    contested: set[tuple[str, str]] = msgspec.field(default_factory=set)
    undecided: dict[str, Refusal] = msgspec.field(default_factory=dict)
    recovered: dict[tuple[Side, str], Intent] = msgspec.field(default_factory=dict)
    unsure: bool = False
    went_back: set[Side] = msgspec.field(default_factory=set)
    ahead: float = 0.0
    answers: Answers = msgspec.field(default_factory=dict)
    unfinished: list[str] = msgspec.field(default_factory=list)
    finishing: bool = False
    released: dict[Side, set[str]] = msgspec.field(default_factory=lambda: defaultdict(set))
    uncoupled: dict[Side, Uncoupled] = msgspec.field(default_factory=dict)
    spread: Spread | None = None
    led: dict[tuple[str, str], Pending] = msgspec.field(default_factory=dict)
    refused: dict[Side, dict[str, Refusal]] = msgspec.field(default_factory=lambda: defaultdict(dict))


async def open_scope(session: Session, ready: Ready, *, create: bool) -> Scope:
    """A scope for a run of a mapping."""
    names = field_names([field.mapping for field in ready.table.fields])
    return Scope(ready=ready, codec=await open_codec(session.connection, ready.mapping.name, names), create=create)


async def read_side(session: Session, scope: Scope, side: Side, ids: Sequence[str]) -> dict[str, Record]:
    """The records of these ids as they are now, with their computed values; blanks among the ids are passed over."""
    end = scope.ready.end(side)
    found = await session.systems[side].by_ids(end.schema.name, end.columns, [id for id in ids if id])
    records, refusals = await compute(session, scope.ready, side, list(found.values()))
    for id in found:
        scope.refused[side].pop(id, None)
    scope.refused[side].update(refusals)
    return {record.id: record for record in records}


async def partners_of(session: Session, scope: Scope, side: Side, found: Sequence[Coupling]) -> dict[str, Record]:
    """The records on the other side of these couplings, by id."""
    return await read_side(session, scope, other(side), [coupled_id(coupling, other(side)) for coupling in found])


def base_of(codec: Codec, stored: bytes) -> Bases:
    """A stored base as the engine wants it."""
    return decode(codec, stored)


def recorded_version(coupling: Coupling, side: Side) -> str:
    """The version that was recorded when the coupling was written last."""
    return _recorded(coupling, side).removeprefix(OUTSIDE)


def was_outside(coupling: Coupling, side: Side) -> bool:
    """Whether the record was outside the filter when it was looked at last: if it is back, what happened to its partner
    meanwhile is carried over, whether it changed itself or not."""
    return _recorded(coupling, side).startswith(OUTSIDE)


def is_pair(action: Action) -> bool:
    """Whether there is a coupling to save once this action came through."""
    if action.base is None:
        return False
    kept = action.kind in ("create", "update", "couple", "hold")
    return kept or (action.kind == "nothing" and action.base_before is not None)


def is_noted_outside(action: Action) -> bool:
    """Whether the action writes down that a record of the pair is outside the filter."""
    return any(version.startswith(OUTSIDE) for version in action.left_alone.values())


def _recorded(coupling: Coupling, side: Side) -> str:
    return coupling.business_central_version if side == "business_central" else coupling.dataverse_version


def coupled_id(coupling: Coupling, side: Side) -> str:
    """The id of the coupled record on ``side``."""
    return coupling.business_central_id if side == "business_central" else coupling.dataverse_id


def in_order(side: Side, record: Record, partner: Record) -> tuple[Record, Record]:
    """(Business Central, Dataverse) of a record of ``side`` and its partner."""
    return (record, partner) if side == "business_central" else (partner, record)
