"""The one sentence that ``koppel explain`` begins with: why a record is as it is, and what changes that."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from koppel.engine.action import Action
from koppel.engine.plan import other
from koppel.mapping.model import NONE, TableMapping
from koppel.odata.literals import parse_instant
from koppel.odata.records import SPOKEN, Record, Side
from koppel.store.conflicts import Conflict
from koppel.store.failures import Failure
from koppel.store.pending import Pending
from koppel.sync.prepare import Ready
from koppel.sync.session import Session

CANDIDATES = 5


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer is made of. ``outside``: by side, the conditions of the filter that the record does not meet;
    ``barred``: the sides where an uncoupled record takes no part (``new``).
    ``read_until``: when each side's changes were last read to their end; ``planned``: by the next run and by a full
    one."""

    mapping: TableMapping
    name: str
    coupled: bool
    records: Mapping[Side, Record]
    outside: Mapping[Side, Sequence[str]]
    barred: Collection[Side]
    failures: Sequence[Failure]
    conflicts: Sequence[Conflict]
    waiting: Sequence[Pending]
    read_until: Mapping[Side, datetime]
    planned: Sequence[Action]
    full: Sequence[Action]
    candidates: Sequence[str]


def answer(known: Known) -> str:
    """The first of all reasons that applies."""
    return next(_reasons(known))


def _reasons(known: Known) -> Iterator[str]:
    mapping = known.mapping
    if not mapping.enabled:
        yield f"the mapping is off: no run looks at it until `enabled: false` is taken out of {mapping.file}"
    yield from _gone(known)
    for failure in known.failures:
        yield _failed(mapping.name, failure)
    for side, parts in known.outside.items():
        if parts:
            yield f"outside the mapping's filter in {SPOKEN[side]} ({'; '.join(parts)}): left alone until it is inside"
    if known.conflicts:
        fields = ", ".join(conflict.field for conflict in known.conflicts)
        numbers = " ".join(str(conflict.id) for conflict in known.conflicts)
        yield f"both sides changed {fields}: held until somebody decides (koppel resolve {numbers} --use SIDE)"
    yield from _changed(known) if known.coupled else _alone(known)
    for waiting in known.waiting:
        yield f"in step, but {waiting.field}, which waits until {waiting.reference} is coupled in {waiting.via}"
    yield "in step: both sides hold what was agreed on"


def _gone(known: Known) -> Iterator[str]:
    gone = [side for side in ("business_central", "dataverse") if side not in known.records]
    if not known.coupled or not gone:
        return
    if len(gone) == 2:
        yield "deleted on both sides: the next full synchronisation uncouples the pair"
    side: Side = gone[0]  # type: ignore[assignment]
    policy = {
        "none": "the pair waits for a person (koppel uncouple, or `deletions` in the mapping)",
        "uncouple": "a run that sees it uncouples the pair",
        "leave": "a run that sees it uncouples the pair, and leaves the record that is there alone",
        "restore": "a run that sees it creates the partner again",
        "delete": f"a run that sees it deletes the record in {SPOKEN[other(side)]} too, unless it was edited there",
        "delete_edited": f"a run that sees it deletes the record in {SPOKEN[other(side)]} too",
    }
    yield f"its partner in {SPOKEN[side]} is deleted; {policy[known.mapping.deletions]}"


def _failed(mapping: str, failure: Failure) -> str:
    since = f"{failure.first_at:%Y-%m-%d %H:%M} UTC" if failure.first_at else "some time"
    retry = f"koppel retry {mapping!r} {failure.record_id}"
    if failure.state == "skipped":
        return (
            f"skipped since {since}, after the same error {failure.attempts} times: {failure.message}. "
            f"An edit of the record, a change of the mapping, or `{retry}` has it tried again"
        )
    if failure.via:
        return f"waits since {since}: {failure.message}; it is tried again when that is coupled"
    when = f"not before {failure.next_try:%Y-%m-%d %H:%M} UTC" if failure.next_try else "in the next run"
    return f"failed in job {failure.job}, since {since}: {failure.message}; tried again {when}, or by `{retry}`"


def _changed(known: Known) -> Iterator[str]:
    for action in known.planned:
        if action.kind == "nothing" and "own user" in action.reason:
            yield (
                "changed by the connection's own user, otherwise than by Koppel: left alone until a person edits the "
                "record (`ignore_integration_user`)"
            )
        if action.kind in ("update", "couple"):
            fields = ", ".join(dict.fromkeys(change.field for change in action.changes)) or "what agrees by now"
            yield f"changed since the last run, and the next one carries it over: {fields}"


def _alone(known: Known) -> Iterator[str]:
    side = next(iter(known.records))
    record = known.records[side]
    if side in known.barred:
        which = "until somebody couples it" if (new := known.mapping.endpoint(side).new) == NONE else f"unless {new}"
        yield f"not coupled, and left alone {which} (`new` in the mapping)"
    actions = [*known.planned, *known.full]
    for action in actions:
        if action.refusal and (action in known.planned or action.refusal.code == "ambiguous"):
            yield f"not coupled: {action.refusal.message}; {action.refusal.remedy}"
    until = known.read_until.get(side)
    if until is None:
        yield "never seen: no run of this mapping has come to its end yet"
    if any(action.kind == "update" or action.kind == "couple" for action in known.planned):
        yield "not coupled yet: the next run that looks at it couples it with what it matches"
    near = f" Similar there: {'; '.join(known.candidates)}." if known.candidates else ""
    if any("not matched" in action.reason for action in actions):
        yield f"not matched by the fields of `match`, and this mapping creates no partners.{near} See koppel couple"
    if any("only coupled" in action.reason for action in known.planned):
        yield (
            f"not coupled, and this mapping synchronises only coupled records.{near} koppel couple, koppel match, or "
            f"koppel sync {known.mapping.name!r} --record {known.name} --create"
        )
    if not known.mapping.writes_to(other(side)):
        yield f"not coupled, and the mapping creates nothing in {SPOKEN[other(side)]}"
    if until and record.modified_at and parse_instant(record.modified_at) > until - timedelta(seconds=1):
        yield "never seen: it was edited after the last run, and the next one creates its partner"
    yield f"not coupled; the next run that looks at it creates its partner.{near}"


async def candidates(session: Session, ready: Ready, side: Side, record: Record) -> list[str]:
    """Records of the other side that share at least one match field with a record nothing matched, as
    ``name (id): field``."""
    there, found = other(side), dict[str, str]()
    ours, theirs = ready.end(side), ready.end(there)
    for pair in (pair for group in ready.mapping.match for pair in group):
        column, value = getattr(pair, there), record.values[ours.places[getattr(pair, side)]]
        if column not in theirs.places or value in (None, ""):
            continue
        for one in await session.systems[there].by_keys(theirs.schema.name, theirs.columns, column, [value]):
            found.setdefault(one.id, f"{theirs.name_of(one)} ({one.id}): {column}")
            if len(found) == CANDIDATES:
                return list(found.values())
    return list(found.values())
