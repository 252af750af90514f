"""Records that nobody coupled yet: couple them with what they match, or plan their partners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import NAMESPACE_URL, uuid5

from koppel.engine.action import Action, Refusal
from koppel.engine.match import Matches
from koppel.engine.plan import hold, nothing, other, plan_creation
from koppel.mapping.model import NONE
from koppel.odata.records import SPOKEN, Record, Side
from koppel.store import couplings, failures, formers
from koppel.store.couplings import Coupling
from koppel.sync.match import match_chunk
from koppel.sync.needs import Missing, missing_parts, refused
from koppel.sync.pairs import merge_all, refusals_of
from koppel.sync.prepare import Ready
from koppel.sync.references import references
from koppel.sync.returning import left_behind, returned
from koppel.sync.scope import Incoming, Scope, coupled_id, in_order, partners_of
from koppel.sync.session import Session
from koppel.sync.skip import passed_over, told_why
from koppel.sync.succession import successors
from koppel.sync.templates import chosen_template
from koppel.sync.unmet import unmet


async def new_records(
    session: Session, scope: Scope, incoming: Incoming, news: Sequence[Record], failed: Mapping[str, Refusal]
) -> tuple[list[Action], int]:
    """Couple or create the records that nobody coupled yet; those outside the filter are none of our business."""
    ready, side = scope.ready, incoming.side
    end, mapping = ready.end(side), ready.mapping
    inside = [record for record in news if end.passes is None or end.passes(record)]
    taken = {record.id for record in inside}
    away = [record for record in news if record.id not in taken]
    if session.job and away:  # what failed before it left the filter is no failure any more
        await failures.clear(session.connection, mapping.name, side, {record.id for record in away})
    barred = [record for record in inside if not end.is_new(record)] if incoming.why == "chosen" else []
    inside = [record for record in inside if end.is_new(record)]
    ignored = 0 if incoming.asked else len(news) - len(inside) - len(barred)
    out = {id: refusal for id, refusal in failed.items() if refusal.outside}
    left_out = [_left_out(scope, side, record, out[record.id]) for record in inside if record.id in out]
    left_out += [_barred(scope, side, record) for record in barred]
    left_out += [_away(scope, side, record) for record in away if incoming.asked]
    inside = [record for record in inside if record.id not in out]
    passed = await passed_over(session, scope, incoming, side, inside)
    skipped = [*left_out, *told_why(session, scope, incoming, inside, passed)]
    inside = [record for place, record in enumerate(inside) if place not in passed]
    if not inside:
        return skipped, ignored
    refusals = {**failed, **await refused(session, ready, side, inside, new=True)}
    back = await returned(session, scope, incoming, [record for record in inside if record.id not in refusals])
    back |= await left_behind(session, scope, incoming, [record for record in inside if record.id not in back])
    inside = [record for record in inside if record.id not in back]
    heirs = await successors(session, scope, incoming, [record for record in inside if record.id not in refusals])
    inside = [record for record in inside if record.id not in heirs]
    # What failed or waited was meant to be created when it did.
    create = scope.create or incoming.why == "again"
    tried = await _tried_before(session, scope, incoming, inside) if not create else frozenset()
    matched, ambiguous = await _matched(session, scope, side, inside, create=create or bool(tried))
    coupled = await _couple(
        session, scope, incoming, [r for r in inside if r.id in matched and r.id not in refusals], matched
    )
    actions: list[Action] = [*skipped, *back.values(), *heirs.values(), *coupled]
    left = [record for record in inside if record.id not in matched or record.id in refusals]
    if not mapping.writes_to(other(side)):
        return actions, ignored + len(left)
    creatable: list[Record] = []
    for record in left:
        refusal = (
            scope.undecided.get(record.id) or refusals.get(record.id) or _ambiguity(scope, side, record, ambiguous)
        )
        if refusal:
            actions.append(hold(mapping, side, record, refusal, name=end.name_of(record)))
        elif not (create or record.id in tried):
            actions.append(nothing(mapping, side, record, "only coupled records synchronise", name=end.name_of(record)))
        elif scope.create_unmatched or mapping.create_unmatched or not mapping.match:
            creatable.append(record)
        else:
            actions.append(nothing(mapping, side, record, "not matched, and none is created", name=end.name_of(record)))
    return [*actions, *await plan_creations(session, scope, side, creatable)], ignored


async def _tried_before(
    session: Session, scope: Scope, incoming: Incoming, records: Sequence[Record]
) -> frozenset[str]:
    """Records that were to be created and failed, for which something that their mapping watches has changed."""
    if not (incoming.watched and records):
        return frozenset()
    ids = [record.id for record in records]
    return frozenset(await failures.by_ids(session.connection, scope.ready.mapping.name, incoming.side, ids))


async def _matched(
    session: Session, scope: Scope, side: Side, records: Sequence[Record], *, create: bool
) -> tuple[Mapping[str, str], Mapping[str, tuple[str, ...]]]:
    """What records match, and the rivals of those that match several; what this run uncouples counts as uncoupled."""
    matched, ambiguous = _of_matches(scope.matches, side)
    left = [record for record in records if record.id not in matched and record.id not in ambiguous]
    wanted = create if scope.matches is None else bool(scope.released[other(side)])
    if not (wanted and left and scope.ready.mapping.match):
        return matched, ambiguous
    found = _of_matches(await match_chunk(session, scope.ready, side, left, scope.released, scope.uncoupled), side)
    return {**matched, **found[0]}, {**ambiguous, **found[1]}


def _barred(scope: Scope, side: Side, record: Record) -> Action:
    """A record that a person asks for, and that the mapping leaves alone as long as nobody couples it."""
    mapping = scope.ready.mapping
    new = mapping.endpoint(side).new
    which = "none of" if new == NONE else f"those with {new} of"
    message = f"it is not coupled, and gets no partner: {which} {SPOKEN[side]} do"
    remedy = f"bring it inside, or couple it by hand (koppel couple {mapping.name!r})"
    return _left_out(scope, side, record, Refusal(code="not-new", message=message, remedy=remedy, skip=True))


def _away(scope: Scope, side: Side, record: Record) -> Action:
    """A record that a person asks for and that the filter leaves out, as a product of another type (PROD-16)."""
    end = scope.ready.end(side)
    message = f"it is outside the filter of {SPOKEN[side]}: {', '.join(unmet(end, record))}"
    remedy = f"{scope.ready.mapping.name} takes {end.filter}"
    return _left_out(scope, side, record, Refusal(code="outside-filter", message=message, remedy=remedy, skip=True))


def _left_out(scope: Scope, side: Side, record: Record, refusal: Refusal) -> Action:
    return hold(scope.ready.mapping, side, record, refusal, name=scope.ready.end(side).name_of(record))


def _of_matches(matches: Matches | None, side: Side) -> tuple[Mapping[str, str], Mapping[str, tuple[str, ...]]]:
    if matches is None:
        return {}, {}
    if side == "business_central":
        return matches.unique, matches.ambiguous_business_central
    return {theirs: ours for ours, theirs in matches.unique.items()}, matches.ambiguous_dataverse


def _ambiguity(scope: Scope, side: Side, record: Record, ambiguous: Mapping[str, tuple[str, ...]]) -> Refusal | None:
    if record.id not in ambiguous:
        return None
    rivals = ", ".join(ambiguous[record.id][:5])
    return Refusal(
        code="ambiguous",
        message=f"matches more than one record, or shares its match with another: {rivals}",
        remedy=f"koppel couple {scope.ready.mapping.name!r} with the right ids, or delete the double and retry",
        value=record.id,
    )


async def _couple(
    session: Session, scope: Scope, incoming: Incoming, records: Sequence[Record], matched: Mapping[str, str]
) -> list[Action]:
    if not records:
        return []
    made = [_new_coupling(incoming.side, record.id, matched[record.id]) for record in records]
    partners = await partners_of(session, scope, incoming.side, made)
    pairs = [
        (coupling, *in_order(incoming.side, record, partners[matched[record.id]]))
        for coupling, record in zip(made, records, strict=True)
        if matched[record.id] in partners
    ]
    return await merge_all(session, scope, pairs, incoming, await refusals_of(session, scope, pairs))


def _new_coupling(side: Side, id: str, partner: str) -> Coupling:
    return Coupling(id, partner) if side == "business_central" else Coupling(partner, id)


async def plan_creations(session: Session, scope: Scope, side: Side, records: Sequence[Record]) -> list[Action]:
    """Plan partners for records of ``side``, with what references and rules say."""
    if not records:
        return []
    ready = scope.ready
    ours, theirs = (records, ()) if side == "business_central" else ((), records)
    known = await references(session, ready, ours, theirs, scope.answers)
    missing = await missing_parts(session, ready, side, records)
    ids = await _ids_for(session, ready, side, records)

    def planned(record: Record, parts: Missing | Refusal) -> Action:
        name = ready.end(side).name_of(record)
        if isinstance(parts, Refusal):
            return hold(ready.mapping, side, record, parts, name=name)
        return plan_creation(
            ready.table,
            side,
            record,
            known,
            id=ids[record.id],
            name=name,
            missing=parts.values,
            nested=parts.nested,
            template=chosen_template(ready.templates[other(side)], record),
        )

    return [planned(record, missing[record.id]) for record in records]


async def _ids_for(session: Session, ready: Ready, side: Side, records: Sequence[Record]) -> dict[str, str]:
    """The ids that new partners get: the record's own, which gives each record one partner, or one made from it where
    that is no id for it any more."""
    if not ready.end(other(side)).schema.takes_ids:
        return dict.fromkeys((record.id for record in records), "")
    known = {record.id: record for record in records}
    ids = {id: id for id in known}
    asked = list(known.values())
    while taken := await _taken(session, ready, side, asked, ids):
        ids |= {id: str(uuid5(NAMESPACE_URL, f"koppel:{ready.mapping.name}:{ids[id]}")) for id in taken}
        asked = [known[id] for id in taken]
    return ids


async def _taken(
    session: Session, ready: Ready, side: Side, records: Sequence[Record], ids: Mapping[str, str]
) -> list[str]:
    """Those of these records whose id for a new partner is that of a former one, which passed to another record, or was
    given up for good: uncoupled, put outside the filter, and given another key."""
    there, mapping = other(side), ready.mapping.name
    wanted = [ids[record.id] for record in records]
    coupled = await couplings.by_ids(session.connection, mapping, there, wanted)
    free = {id for id in wanted if id not in coupled}
    parted = await formers.among(session.connection, mapping, there, free)
    end = ready.end(there)
    rows = await session.systems[there].by_ids(end.schema.name, end.columns, parted) if parted else {}

    def is_taken(record: Record) -> bool:
        id = ids[record.id]
        if id in coupled:
            return coupled_id(coupled[id], side) != record.id
        return id in rows and is_given_up(rows[id], record)

    def is_given_up(row: Record, record: Record) -> bool:
        return end.passes is not None and not end.passes(row) and _has_another_key(ready, row, record)

    return [record.id for record in records if is_taken(record)]


def _has_another_key(ready: Ready, one: Record, another: Record) -> bool:
    """Whether two records bear different keys, in a mapping that carries the key over."""
    keys = ready.mapping.business_central.key, ready.mapping.dataverse.key
    for field in ready.table.fields:
        if (field.business_central.column, field.dataverse.column) == keys:
            form = field.business_central.canonical
            return len({None, form(one.values[field.index]), form(another.values[field.index])}) == 3
    return False
