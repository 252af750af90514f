"""Option mappings: codes of Business Central and the options of a choice column (OPT-01 … OPT-06)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import cast

import msgspec

from koppel.engine.action import Action, Change, Refusal
from koppel.errors import OutcomeUnknownError, RemoteError
from koppel.odata.records import Record, Scalar
from koppel.store import history, options
from koppel.store.history import Entry
from koppel.store.options import Option
from koppel.sync.prepare import Ready
from koppel.sync.session import Session
from koppel.systems.dataverse import Dataverse


async def synchronise_options(session: Session, ready: Ready, *, apply: bool) -> AsyncIterator[Action]:
    """Couple each code with the option whose label it is, adding it where there is none. Yields what is done."""
    dataverse = cast(Dataverse, session.systems["dataverse"])
    table, column = ready.mapping.dataverse.table, ready.mapping.dataverse.column
    records = await _codes(session, ready)
    coupled = await options.every(session.connection, ready.mapping.name)
    actions = _plan_all(ready, records, coupled, await dataverse.options(table, column))
    if apply and any(action.kind == "create" for action in actions):
        # An earlier run may have added options and died before it published them: nobody sees those.
        await dataverse.publish(table)
        actions = _plan_all(ready, records, coupled, await dataverse.options(table, column))
    changed: list[Option] = []
    entries: list[Entry] = []
    for action in actions:
        if apply and action.kind in ("create", "update", "couple"):
            try:
                changed.append(await _do(dataverse, table, column, action))
                entries += _entries(session.job, action, changed[-1])
            except RemoteError as error:
                action = _held(action, error)
        yield action
    if apply and any(action.kind in ("create", "update") for action in actions):
        await dataverse.publish(table)
    if changed:
        await options.save(session.connection, ready.mapping.name, changed)
        await history.add(session.connection, entries)
        await session.connection.commit()


def _entries(job: int, action: Action, option: Option) -> list[Entry]:
    def entry(kind: history.Action, field: str = "", old: Scalar = None, new: Scalar = None) -> Entry:
        return option_entry(job, action.mapping, kind, option.value, option.code, field, old, new, action.reason)

    if action.kind == "update":
        return [entry("update", c.field, c.old, c.new) for c in action.changes]
    made = [entry("create", new=option.label)] if action.kind == "create" else []
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


async def _codes(session: Session, ready: Ready) -> Sequence[Record]:
    end = ready.business_central
    system = session.systems["business_central"]
    return [
        r async for page in system.query(end.schema.name, end.columns, filter=end.filter or None) for r in page.records
    ]


def _plan_all(
    ready: Ready, records: Sequence[Record], coupled: Sequence[Option], labels: Mapping[int, str]
) -> list[Action]:
    known = {option.business_central_id: option for option in coupled}
    taken = {option.value for option in coupled}
    free = {label.casefold(): value for value, label in labels.items() if value not in taken}
    return [_plan(ready, record, known.get(record.id), free, labels) for record in records]


def _plan(
    ready: Ready, record: Record, known: Option | None, free: dict[str, int], labels: Mapping[int, str]
) -> Action:
    code = ready.business_central.name_of(record)

    def action(kind: str, reason: str, value: Scalar) -> Action:
        return Action(
            kind=kind,  # type: ignore[arg-type]
            mapping=ready.mapping.name,
            name=code,
            side="dataverse",
            reason=reason,
            business_central_id=record.id,
            to_dataverse={"value": value, "label": code},
        )

    if known is not None and known.value in labels:
        if labels[known.value].casefold() == code.casefold():
            return action("nothing", "equal", known.value)
        renamed = action("update", f"the code is now {code}", known.value)
        return msgspec.structs.replace(
            renamed, changes=(Change("label", "dataverse", labels[known.value], code, renamed.reason),)
        )
    if code.casefold() in free:
        return action("couple", "the option's label is the code", free.pop(code.casefold()))
    return action("create", "no option bears the code", None)


async def _do(dataverse: Dataverse, table: str, column: str, action: Action) -> Option:
    value = action.to_dataverse["value"]
    if action.kind == "create":
        value = await _insert(dataverse, table, column, action.name)
    elif action.kind == "update":
        await dataverse.update_option(table, column, cast(int, value), action.name)
    return Option(action.business_central_id, action.name, cast(int, value), action.name)


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


def _held(action: Action, error: RemoteError) -> Action:
    refusal = Refusal(message=error.message, remedy=error.remedy, code=error.code, kind=error.kind)
    return Action(kind="hold", mapping=action.mapping, name=action.name, reason=error.message, refusal=refusal)
