"""Changing records that may be closed: a closed one takes no edits, so it is opened, changed and closed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from koppel.odata.records import Record, Scalar
from koppel.sync.prepare import End
from koppel.systems.system import System, Update, Written


async def change(
    system: System,
    end: End,
    changes: Sequence[Update],
    records: Sequence[Record | None],
    opens: Mapping[str, Scalar],
) -> list[Written]:
    """Change records of a table; ``opens``: the values that open one, empty where nothing is ever closed.

    With the change a record takes a new state, or the one it had; the latter also when the change is refused.
    """
    table = end.schema.name
    closed = {place: state for place, record in enumerate(records) if (state := _closed(end, record, opens))}
    if not closed:
        return await system.update(table, changes, end.columns)
    opened = await system.update(table, [_with(changes[place], opens) for place in closed], ())
    opening = dict(zip(closed, opened, strict=True))
    ready = [place for place in range(len(changes)) if place not in opening or not opening[place].error]
    rows = [_after(changes[place], opening.get(place), closed.get(place, {})) for place in ready]
    answers = {**opening, **dict(zip(ready, await system.update(table, rows, end.columns), strict=True))}
    left_open = [place for place in closed if answers[place].error and not opening[place].error]
    await system.update(table, [_with(_after(changes[p], opening[p], {}), closed[p]) for p in left_open], ())
    return [answers[place] for place in range(len(changes))]


def _closed(end: End, record: Record | None, opens: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The state of a closed record; empty for one that is open, or cannot be closed."""
    state = {column: record.values[end.places[column]] for column in opens} if record else {}
    return {} if state == opens else state


def _with(change: Update, values: Mapping[str, Scalar]) -> Update:
    return msgspec.structs.replace(change, values=values)


def _after(change: Update, opened: Written | None, state: Mapping[str, Scalar]) -> Update:
    """The change of a record that was opened for it."""
    if opened is None:
        return change
    return Update(change.id, opened.version, {**state, **change.values})
