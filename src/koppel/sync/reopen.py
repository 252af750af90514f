"""Changing records that may be closed: a closed one takes no edits, so it is opened, changed and closed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from koppel.odata.records import Record, Scalar
from koppel.sync.prepare import End
from koppel.systems.system import Columns, System, Update, Written

State = Mapping[str, Scalar]
"""The columns that tell whether a record is open, the first one alone: the others say more of it."""


async def change(
    system: System, table: str, columns: Columns, changes: Sequence[Update], states: Sequence[State], opens: State
) -> list[Written]:
    """Change records of a table; ``states``: what they hold in the columns of ``opens``, the values that open one,
    empty where nothing is ever closed.

    With the change a record takes a new state, or the one it had; the latter also when the change is refused.
    """
    closed = {place: state for place, state in enumerate(states) if is_closed(state, opens)}
    if not closed:
        return await system.update(table, changes, columns)
    opened = await system.update(table, [_with(changes[place], opens) for place in closed], ())
    opening = dict(zip(closed, opened, strict=True))
    ready = [place for place in range(len(changes)) if place not in opening or not opening[place].error]
    rows = [_after(changes[place], opening.get(place), closed.get(place, {})) for place in ready]
    answers = {**opening, **dict(zip(ready, await system.update(table, rows, columns), strict=True))}
    left_open = [place for place in closed if answers[place].error and not opening[place].error]
    await system.update(table, [_with(_after(changes[p], opening[p], {}), closed[p]) for p in left_open], ())
    return [answers[place] for place in range(len(changes))]


def state_of(end: End, record: Record | None, opens: State) -> State:
    """What a record holds in the columns that tell whether it is open."""
    return {column: record.values[end.places[column]] for column in opens} if record else opens


def is_closed(state: State, opens: State) -> bool:
    """Whether it has to be opened for a change."""
    return next(iter(state.items()), None) != next(iter(opens.items()), None)


def _with(change: Update, values: State) -> Update:
    return msgspec.structs.replace(change, values=values)


def _after(change: Update, opened: Written | None, state: State) -> Update:
    """The change of a record that was opened for it."""
    if opened is None:
        return change
    kept = {} if next(iter(state), None) in change.values else state
    # What closes it comes after the rest.
    return Update(change.id, opened.version, {**change.values, **kept, **change.values})
