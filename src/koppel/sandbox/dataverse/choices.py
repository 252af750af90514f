"""Option sets while the system runs: what may be written, and what metadata shows until the next publication."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from uuid import NAMESPACE_URL, uuid5

import msgspec

from koppel.odata.csdl import Option
from koppel.sandbox.dataverse.schema import CHOICES, Schema, TableSchema


class Choice(msgspec.Struct, frozen=True):
    """One option. ``state``: the state that a status belongs to; ``default_status``: the status that a state brings."""

    value: int
    label: str
    state: int | None = None
    managed: bool = True
    default_status: int | None = None


class OptionSet:
    """Options in their order: ``current`` takes effect at once, ``published`` is what readers of metadata see.

    Without a table it is a global one.
    """

    def __init__(self, name: str, kind: str, table: str, column: str, options: Iterable[Choice]) -> None:
        self.name = name
        self.kind = kind
        self.table = table
        self.column = column
        self.is_global = not table
        self.metadata_id = _metadata_id(name)
        self.current: dict[int, Choice] = {choice.value: choice for choice in options}
        self.published: Mapping[int, Choice] = dict(self.current)

    def publish(self) -> None:
        """Show what was changed."""
        self.published = dict(self.current)

    def label(self, value: int) -> str | None:
        """The text of an option."""
        choice = self.current.get(value)
        return None if choice is None else choice.label

    def default_status(self, state: int) -> int | None:
        """The first status of a state."""
        return next((choice.value for choice in self.current.values() if choice.state == state), None)


@cache
def _metadata_id(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"koppel:optionset:{name}"))


def option_sets(schema: Schema) -> dict[str, OptionSet]:
    """A fresh copy of every option set of the schema, by name."""
    sets = {}
    for table in schema.tables.values():
        for column in table.columns.values():
            if column.kind in CHOICES and column.option_set:
                options = map(_choice, schema.option_sets[column.option_set])
                sets[column.option_set] = OptionSet(column.option_set, column.kind, table.name, column.logical, options)
    for table in schema.tables.values():
        _set_default_statuses(table, sets)
    return sets


def _set_default_statuses(table: TableSchema, sets: dict[str, OptionSet]) -> None:
    states, statuses = table.columns.get("statecode"), table.columns.get("statuscode")
    if states is None or statuses is None:
        return
    options = sets[states.option_set]
    for value, choice in options.current.items():
        status = sets[statuses.option_set].default_status(value)
        options.current[value] = msgspec.structs.replace(choice, default_status=status)
    options.publish()


def _choice(option: Option) -> Choice:
    state = option.extra.get("State")
    return Choice(option.value, option.label, None if state is None else int(state))
