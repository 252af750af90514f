"""References to records that got another partner: neither side changed, and yet they do not mean the same any more.

When a pair is coupled of which a record was coupled otherwise before, each mapping that refers to it has references
due (``formers``). Its next run looks for them where the record stayed, and lets that side lead the fields whose other
side still names the former partner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

import msgspec

from koppel.engine.fields import Field
from koppel.engine.plan import other
from koppel.engine.rule import RULES
from koppel.engine.translate import reference_of
from koppel.engine.values import UNKNOWN, Unknown
from koppel.odata.records import Record, Scalar, Side
from koppel.store import couplings, formers, options, partings, pending
from koppel.store.couplings import Coupling
from koppel.store.formers import Due
from koppel.store.options import Option, option_id
from koppel.store.pending import Pending, RefersBy
from koppel.store.snapshots import encode
from koppel.sync.prepare import SIDES
from koppel.sync.references import find, refers_to
from koppel.sync.scope import Scope, base_of
from koppel.sync.session import Session

CHUNK = 5_000

CoupledPair = tuple[Coupling, Record, Record]
"""A coupling with the records of Business Central and Dataverse."""


async def note_partners(session: Session, mapping: str, pairs: Sequence[Coupling]) -> None:
    """These pairs were coupled just now: what refers to a record that had another partner is due."""
    if not pairs:
        return
    referring = [
        name
        for name, each in session.mappings.items()
        if not each.part_of and any(refers_to(field, mapping) for field in each.fields)
    ]
    await formers.note_partners(session.connection, mapping, pairs, referring)


async def keep_options(session: Session, mapping: str, kept: Sequence[Option]) -> None:
    """These options are coupled now; ``StoreError`` as ``options.save``."""
    await options.save(session.connection, mapping, kept)
    pairs = [option.pair for option in kept]
    ids = [id for pair in pairs for id in (pair.business_central_id, pair.dataverse_id)]
    await partings.forget(session.connection, mapping, ids)
    await note_partners(session, mapping, pairs)


async def look_for_references(session: Session, scope: Scope) -> list[Due]:
    """Put the fields of coupled pairs that name a former partner into ``scope.led``; which dues that settles."""
    due = await formers.due(session.connection, scope.ready.mapping.name)
    for (via, side), some in groupby(due, lambda one: (one.via, one.side)):
        records = list(some)
        for field in scope.ready.table.fields:
            if refers_to(field.mapping, via) and _may_lead(field, side):
                for led in await _led(session, scope, field, side, records):
                    _add(scope, led)
    return due


async def remember_references(session: Session, scope: Scope) -> None:
    """Look for due references and write down what was found, so that it is kept until each pair was merged. Commits."""
    if due := await look_for_references(session, scope):
        mapping, found = scope.ready.mapping.name, list(scope.led.values())
        for start in range(0, len(found), CHUNK):
            await pending.save(session.connection, mapping, found[start : start + CHUNK])
        await formers.done(session.connection, mapping, due)
        scope.led.clear()
    await session.connection.commit()


def _may_lead(field: Field, side: Side) -> bool:
    """Whether the field goes from there to the other side."""
    return field.mapping.direction in ("both", "to_dataverse" if side == "business_central" else "from_dataverse")


async def _led(session: Session, scope: Scope, field: Field, side: Side, due: Sequence[Due]) -> list[Pending]:
    """The field in those pairs whose record of ``side`` names one of these, and the other one its former partner."""
    mapping, column = scope.ready.mapping.name, field.end(side).column
    form = field.end(side).canonical
    named = await _named(session, scope, field, side, due)
    table = scope.ready.end(side).schema.name
    records = await session.systems[side].by_keys(table, (column,), column, list(named)) if named else []
    found: list[Pending] = []
    meant = {form(value): some for value, some in named.items()}
    for start in range(0, len(records), CHUNK):
        held = {record.id: record.values[0] for record in records[start : start + CHUNK]}
        names = {id: meant[form(value)] for id, value in held.items()}
        coupled = await couplings.by_ids(session.connection, mapping, side, list(names))
        for id, pair in coupled.items():
            one = next((one for one in names[id] if _names_former(scope, field, other(side), pair, one)), None)
            if one is not None:
                ids = pair.business_central_id, pair.dataverse_id
                by: tuple[RefersBy, str] = ("option", str(held[id])) if field.mapping.options else (side, one.record_id)
                found.append(Pending(*ids, field.name, one.via, *by, side))
    return found


async def _named(
    session: Session, scope: Scope, field: Field, side: Side, due: Sequence[Due]
) -> dict[Scalar, list[Due]]:
    """What the field holds on ``side`` where it means one of these records."""
    ids = list(dict.fromkeys(one.record_id for one in due))
    values: dict[str, Scalar] = dict.fromkeys(ids)
    if field.mapping.options:
        coupled = await options.every(session.connection, due[0].via)
        values = {o.pair.dataverse_id: o.value for o in coupled} | {o.business_central_id: o.code for o in coupled}
    elif side == "dataverse":
        values = {id: id for id in ids}
    else:
        of, partners = reference_of(field), await couplings.resolve_ids(session.connection, due[0].via, side, ids)
        assert of is not None
        known = await find(session, scope.ready, of, [], [partner.id for partner in partners.values()])
        values = {id: known.to_business_central.get(partner.id) for id, partner in partners.items()}
    named: dict[Scalar, list[Due]] = {}
    for one in due:
        if (value := values.get(one.record_id)) not in (None, ""):
            named.setdefault(value, []).append(one)
    return named


def _names_former(scope: Scope, field: Field, side: Side, pair: Coupling, due: Due) -> bool:
    """Whether what the two last agreed on names the former partner on ``side``; where a rule decides, that cannot be
    told, so it may."""
    if pair.base is None:
        return False
    agreed = base_of(scope.codec, pair.base)[SIDES.index(side)][field.index]
    if isinstance(agreed, Unknown):
        return False
    of = reference_of(field)
    if side == "business_central" and of and of[1] in RULES:
        return True
    if field.mapping.options and side == "dataverse":
        return isinstance(agreed, int) and option_id(agreed) == due.former_id
    former = due.former_key if side == "business_central" and of and of[1] in ("key", "option") else due.former_id
    form = field.end(side).canonical
    return form(agreed) == form(former)


def _add(scope: Scope, led: Pending) -> None:
    """Where both sides name records that have other partners now, the one leads that wins a first synchronisation."""
    key = led.business_central_id, led.field
    if key not in scope.led or led.leads == scope.ready.mapping.initial:
        scope.led[key] = led


async def with_leading(session: Session, scope: Scope, pairs: Sequence[CoupledPair]) -> list[CoupledPair]:
    """The same pairs; the side that leads a field is not known to have agreed on it, unless the other one changed."""
    ids = [coupling.business_central_id for coupling, _, _ in pairs]
    led: dict[str, list[Pending]] = {}
    for one in (*scope.led.values(), *await pending.led(session.connection, scope.ready.mapping.name, ids)):
        led.setdefault(one.business_central_id, []).append(one)
    return [
        (_led_by(scope, coupling, (ours, theirs), led.get(ours.id, ())), ours, theirs)
        for coupling, ours, theirs in pairs
    ]


def _led_by(scope: Scope, coupling: Coupling, records: tuple[Record, Record], led: Iterable[Pending]) -> Coupling:
    if coupling.base is None or not led:
        return coupling
    bases = [list(base) for base in base_of(scope.codec, coupling.base)]
    fields = {field.name: field for field in scope.ready.table.fields}
    for one in led:
        if one.leads and (field := fields.get(one.field)) and _is_as_agreed(field, other(one.leads), bases, records):
            bases[SIDES.index(one.leads)][field.index] = UNKNOWN
    return msgspec.structs.replace(coupling, base=encode(scope.codec, tuple(bases[0]), tuple(bases[1])))


def _is_as_agreed(
    field: Field, side: Side, bases: Sequence[Sequence[Scalar | Unknown]], records: tuple[Record, Record]
) -> bool:
    """Whether nobody edited the field on the side that is not to lead: an edit there is carried over like any other."""
    agreed, now = bases[SIDES.index(side)][field.index], records[SIDES.index(side)].values[field.index]
    form = field.end(side).canonical
    return not isinstance(agreed, Unknown) and form(agreed) == form(now)
