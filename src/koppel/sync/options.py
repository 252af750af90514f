"""Option mappings: codes of Business Central and the options of a choice column (OPT-01 … OPT-06)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from typing import cast

import msgspec

from koppel.engine.action import Action, Refusal
from koppel.errors import ExistsError, OutcomeUnknownError, RemoteError, TransientError
from koppel.odata.records import Record, Scalar
from koppel.store import history, options, partings
from koppel.store.history import Entry
from koppel.store.options import Option, option_id
from koppel.sync.options_plan import Choices, plan_options
from koppel.sync.options_share import share_options
from koppel.sync.options_unanswered import intend_options, note_options, settle_options
from koppel.sync.prepare import Ready
from koppel.sync.relink import keep_options
from koppel.sync.request import Request
from koppel.sync.session import Session
from koppel.systems.dataverse import Dataverse
from koppel.systems.system import Create, Written

WRITES = ("create", "update", "couple", "uncouple")


async def synchronise_options(
    session: Session, ready: Ready, request: Request, *, apply: bool
) -> AsyncIterator[Action]:
    """Couple each code with the option whose label it is, and add what has no counterpart, in the mapping's
    direction. Yields what is done. ``request.records``: these codes and no others."""
    dataverse = cast(Dataverse, session.systems["dataverse"])
    table = ready.mapping.dataverse.table
    if apply:
        await note_options(session, ready)
    actions = await _planned(session, ready, request)
    if apply and any(action.kind == "create" and action.side == "dataverse" for action in actions):
        # An earlier run may have added options and died before it published them: nobody sees those.
        await dataverse.publish(table)
        actions = await _planned(session, ready, request)
    if apply:
        await intend_options(session, ready, actions)
    done: list[tuple[Action, Option]] = []
    unsure: set[str] = set()
    for action in actions:
        if apply and action.kind in WRITES:
            try:
                done.append((action, await _do(session, ready, action)))
            except RemoteError as error:
                unsure |= {action.name} if isinstance(error, TransientError) else set()
                action = _held(action, error)
        yield action
    if apply and any(action.kind in ("create", "update") and action.side == "dataverse" for action in actions):
        await dataverse.publish(table)
    if apply:
        await _record(session, ready.mapping.name, done, unsure)
    if ready.mapping.dataverse.also:
        async for action in share_options(session, ready, [option for _, option in done], apply=apply):
            yield action


async def _planned(session: Session, ready: Ready, request: Request) -> list[Action]:
    dataverse = cast(Dataverse, session.systems["dataverse"])
    records = await codes_of(session, ready)
    coupled = await options.every(session.connection, ready.mapping.name)
    inside = {record.id for record in records}
    elsewhere = [option.business_central_id for option in coupled if option.business_central_id not in inside]
    there = await session.systems["business_central"].by_ids(ready.business_central.schema.name, (), elsewhere)
    labels = await dataverse.options(ready.mapping.dataverse.table, ready.mapping.dataverse.column)
    choices = Choices(
        records=records,
        coupled=coupled,
        labels=labels,
        gone=set(elsewhere) - there.keys(),
        parted=await _parted(session, ready, records, labels, request),
    )
    actions = plan_options(ready, choices)
    wanted = None if request.records is None else {name.casefold() for name in request.records}
    return [action for action in actions if wanted is None or action.name.casefold() in wanted]


async def _parted(
    session: Session, ready: Ready, records: Sequence[Record], labels: Iterable[int], request: Request
) -> Collection[str]:
    """Codes or options whose counterpart was deleted, and that get none anew unless somebody asks for it."""
    if request.full or request.records is not None:
        return ()
    connection, mapping = session.connection, ready.mapping
    if mapping.direction == "from_dataverse":
        return await partings.left(connection, mapping.name, "business_central", [option_id(v) for v in labels])
    return await partings.left(connection, mapping.name, "dataverse", [record.id for record in records])


async def codes_of(session: Session, ready: Ready) -> Sequence[Record]:
    """The codes inside the filter."""
    end = ready.business_central
    system = session.systems["business_central"]
    return [
        r async for page in system.query(end.schema.name, end.columns, filter=end.filter or None) for r in page.records
    ]


async def _record(
    session: Session, mapping: str, done: Sequence[tuple[Action, Option]], unsure: Collection[str]
) -> None:
    parted = [option.value for action, option in done if action.kind == "uncouple"]
    parted += [int(action.dataverse_id) for action, _ in done if action.replaces]
    await options.remove(session.connection, mapping, parted)
    kept = [option for action, option in done if action.kind != "uncouple"]
    await keep_options(session, mapping, kept)
    await _note_partings(session, mapping, done)
    await history.add(session.connection, [entry for pair in done for entry in _entries(session.job, *pair)])
    await settle_options(session, mapping, but=unsure)
    await session.connection.commit()


async def _note_partings(session: Session, mapping: str, done: Sequence[tuple[Action, Option]]) -> None:
    """Remember codes and options whose counterpart is gone, until they have another one."""
    for action, option in done:
        if action.kind == "uncouple" and action.side:
            code, choice = option.business_central_id, option_id(option.value)
            gone, left = (code, choice) if action.side == "business_central" else (choice, code)
            await partings.note(session.connection, mapping, action.side, gone, left)


def _entries(job: int, action: Action, option: Option) -> list[Entry]:
    def entry(kind: history.Action, field: str = "", old: Scalar = None, new: Scalar = None) -> Entry:
        return option_entry(job, action.mapping, kind, option.value, option.code, field, old, new, action.reason)

    if action.kind == "update":
        return [entry("update", c.field, c.old, c.new) for c in action.changes]
    if action.kind == "uncouple":
        return [entry("uncouple", old=option.business_central_id)]
    made = []
    if action.kind == "create" and action.side == "dataverse":
        made = [entry("create", new=option.label)]
    elif action.kind == "create":
        told = entry("create", new=option.code)
        made = [msgspec.structs.replace(told, side="business_central", record_id=option.business_central_id)]
    return [*made, entry("couple", new=option.business_central_id)]


def option_entry(
    job: int,
    mapping: str,
    kind: history.Action,
    value: int,
    code: str,
    field: str = "",
    old: history.Value = None,
    new: history.Value = None,
    why: str = "",
) -> Entry:
    """What history holds of an option: coupled and uncoupled with the id of the code's record, renamed with labels."""
    return Entry(job, mapping, "dataverse", str(value), kind, field, old, new, why, code)


async def _do(session: Session, ready: Ready, action: Action) -> Option:
    dataverse = cast(Dataverse, session.systems["dataverse"])
    table, column = ready.mapping.dataverse.table, ready.mapping.dataverse.column
    value, label, id = action.to_dataverse["value"], str(action.to_dataverse["label"]), action.business_central_id
    if action.kind == "create" and action.side == "dataverse":
        value = await _insert(dataverse, table, column, label)
    elif action.kind == "create":
        id = await _create_code(session, ready, action)
    elif action.kind == "update":
        await dataverse.update_option(table, column, cast(int, value), label)
    return Option(id, action.name, cast(int, value), label)


async def _insert(dataverse: Dataverse, table: str, column: str, label: str) -> int:
    """Add an option. When no answer comes, look whether it is there: a second one would have the same label."""
    try:
        return await dataverse.insert_option(table, column, label)
    except OutcomeUnknownError:
        await dataverse.publish(table)
        there = await dataverse.options(table, column)
        made = [value for value, text in there.items() if text == label]
        if not made:
            raise
        return max(made)


async def _create_code(session: Session, ready: Ready, action: Action) -> str:
    """Add a code; its id. One that is there already, since an earlier answer got lost, is taken."""
    system, end = session.systems["business_central"], ready.business_central
    values = dict(action.to_business_central)
    (written,) = await system.create(end.schema.name, [Create("", values)], ())
    if isinstance(written.error, ExistsError | OutcomeUnknownError):
        there = await system.by_keys(end.schema.name, (), ready.mapping.business_central.key, [action.name])
        written = Written(id=there[0].id) if there else written
    if written.error is not None:
        raise written.error
    return written.id


def _held(action: Action, error: RemoteError) -> Action:
    refusal = Refusal(message=error.message, remedy=error.remedy, code=error.code, kind=error.kind)
    return Action(kind="hold", mapping=action.mapping, name=action.name, reason=error.message, refusal=refusal)
