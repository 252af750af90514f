"""What lookups and options of a chunk stand for on the other side, found all at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from koppel.engine.fields import Field, Stage, looks_up
from koppel.engine.rule import RULES, Batch
from koppel.engine.translate import AllReferences, References, reference_of, rows_of, through
from koppel.mapping.model import FieldMapping, Lookup, TableMapping
from koppel.mapping.steps import LookUp
from koppel.odata.records import Record, Scalar
from koppel.store import couplings, options
from koppel.sync.needs import with_needs
from koppel.sync.prepare import Ready
from koppel.sync.session import Session

FEW = 100
"""So many different values recur from chunk to chunk: currencies, salespeople, terms."""

Asked = tuple[tuple[str, str], frozenset[Scalar], frozenset[Scalar]]
Answers = dict[Asked, References]
"""What a run has found out so far: by (mapping, how it is named), keys and ids."""


def goes_through(mapping: TableMapping) -> list[str]:
    """The mappings by whose couplings rules know what the look-ups of a mapping stand for: more than they name."""
    return list(dict.fromkeys(via for field in mapping.fields if field.lookup for via in _of_rule(field.lookup)))


def _of_rule(lookup: Lookup) -> list[str]:
    return [need.couplings for need in RULES[lookup.by].needs if need.couplings] if lookup.by in RULES else []


def refers_to(field: FieldMapping, mapping: str) -> bool:
    """Whether a field may name records of a mapping, so that its couplings say what the field stands for."""
    named = (field.lookup.mapping, *_of_rule(field.lookup)) if field.lookup else (field.options,)
    return field.enabled and mapping in named


async def references(
    session: Session,
    ready: Ready,
    business_central: Sequence[Record],
    dataverse: Sequence[Record],
    answers: Answers | None = None,
) -> AllReferences:
    """The references of every lookup and option field in these records, by (mapping, how it is named).

    ``answers`` are kept for the run, if given; what a run couples itself is asked for each time.
    """
    fields: dict[tuple[str, str], list[Field]] = {}
    for field in ready.table.fields:
        of = reference_of(field)
        if of is not None:
            fields.setdefault(of, []).append(field)
    known: dict[tuple[str, str], References] = {}
    for of, found in fields.items():
        keys, ids = _values(found, business_central, 0), _values(found, dataverse, 1)
        asked = (of, frozenset(keys), frozenset(ids))
        if answers is None or asked not in answers:
            known[of] = await find(session, ready, of, keys, ids)
        else:
            known[of] = answers[asked]
        if answers is not None and len(keys) + len(ids) <= FEW and of[0] != ready.mapping.name:
            answers[asked] = known[of]
    for field in ready.table.fields:
        await _look_up(session, field.to_dataverse, _column(field, business_central), known)
        await _look_up(session, field.to_business_central, _column(field, dataverse), known)
    return known


def _column(field: Field, records: Sequence[Record]) -> Iterable[Scalar]:
    is_needed = looks_up((*field.to_dataverse, *field.to_business_central))
    return dict.fromkeys(record.values[field.index] for record in records) if is_needed else ()


async def _look_up(
    session: Session, stages: Sequence[Stage], values: Iterable[Scalar], known: dict[tuple[str, str], References]
) -> None:
    """Fetch the rows that the look-ups of a chain will look for, one look-up after the other."""
    for number, step in enumerate(stages):
        if isinstance(step, LookUp):
            rows = known.get(rows_of(step), References()).to_dataverse
            reached = dict.fromkeys(_until(stages[:number], value, known) for value in values)
            wanted = [value for value in reached if value not in (None, "", *rows)]
            known[rows_of(step)] = References({**rows, **await _rows(session, step, wanted)})


def _until(stages: Sequence[Stage], value: Scalar, known: AllReferences) -> Scalar:
    """What a value has become before a look-up; nothing where it fails on the way, which the merge will tell."""
    try:
        return through(stages, value, known)
    except ValueError:
        return None


async def _rows(session: Session, step: LookUp, wanted: Sequence[Scalar]) -> dict[Scalar, Scalar]:
    if not wanted:
        return {}
    columns = tuple(dict.fromkeys((step.where, step.take)))
    found = await session.systems[step.side].by_keys(step.table, columns, step.where, wanted)
    rows: dict[Scalar, Scalar] = {}
    for record in found:
        rows.setdefault(record.values[0], record.values[-1])
    return rows


def _values(fields: Iterable[Field], records: Sequence[Record], number: int) -> list[Scalar]:
    found: dict[Scalar, None] = {}  # in order: a set has another one in each process
    for field in fields:
        form = (field.business_central if number == 0 else field.dataverse).canonical
        column = dict.fromkeys(record.values[field.index] for record in records)
        if number == 1 and field.mapping.options:
            found |= column
        else:
            found |= dict.fromkeys(str(value) for raw in column if (value := form(raw)) is not None)
    return [value for value in found if value is not None]


async def find(
    session: Session, ready: Ready, of: tuple[str, str], keys: list[Scalar], ids: list[Scalar]
) -> References:
    """What these references (see ``reference_of``), as Business Central names records and as Dataverse does, stand for
    on the other side."""
    mapping, by = of
    if by in RULES:
        batch = Batch(keys=keys, ids=ids, today=session.today(), parameters=ready.mapping.parameters)
        found = RULES[by].function(await with_needs(session, RULES[by].needs, batch))
        assert isinstance(found, References)
        return found
    if by == "option":
        coupled = await options.every(session.connection, mapping)
        return References({o.code: o.value for o in coupled}, {o.value: o.code for o in coupled})
    back = await couplings.resolve_ids(session.connection, mapping, "dataverse", [str(id) for id in ids])
    if by == "id":
        there = await couplings.resolve_ids(session.connection, mapping, "business_central", [str(key) for key in keys])
        foreseen = session.foreseen.get(mapping, {})
        forth = foreseen | {key: ref.id for key, ref in there.items()}
        return References(forth, {id: key for key, id in foreseen.items()} | {id: ref.id for id, ref in back.items()})
    return References(
        dict(await couplings.resolve_keys(session.connection, mapping, [str(key) for key in keys])),
        {id: ref.business_central_key for id, ref in back.items()},
    )
