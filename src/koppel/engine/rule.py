"""Rules: what a table needs beyond copying fields, as pure functions over batches of records.

A mapping names them (``module.function``). There are eight kinds:

``compute``  the source's value of a field, or the references of a lookup, before the merge
``refuse``   a reason why a record must not synchronise
``complete`` the missing parts of a creation, or a reason why there can be none
``succeed``  which coupled record a new one takes the place of
``precede``  writes that must be there before a record's own
``follow``   writes that come after it
``gone``     writes to a record whose partner was deleted, before the two are uncoupled
``uncouple`` writes to a record before it is uncoupled, whatever for

A rule declares the other tables it needs; the shell fetches those in bulk for the whole batch and hands them in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import msgspec

from koppel.engine.action import FollowUp, Refusal
from koppel.engine.translate import References
from koppel.errors import MappingError
from koppel.odata.records import Record, Scalar, Side

RuleKind = Literal["compute", "references", "refuse", "complete", "succeed", "precede", "follow", "gone", "uncouple"]
Of = Literal["new", "coupled", "all"]
Found = Mapping[str, Scalar]
"""One row of a table that a rule needs, by column name."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule sees: records of one side, and the rows of the tables it declared.

    ``columns`` names the places of ``Record.values``. ``partners``: for rules that plan writes the ids of the records'
    partners, blank where one is still to be made. For ``references`` rules ``keys`` and ``ids``
    hold the values of the lookup's columns in the chunk (Business Central, Dataverse) and there are no records.
    ``today`` is the work date.
    """

    columns: Mapping[str, int] = {}
    records: Sequence[Record] = ()
    partners: Sequence[str] = ()
    keys: Sequence[Scalar] = ()
    ids: Sequence[Scalar] = ()
    tables: Mapping[str, Sequence[Found]] = {}
    today: date
    parameters: Mapping[str, Scalar] = {}

    def column(self, name: str) -> list[Scalar]:
        """The values of a column, in the order of the records."""
        place = self.columns[name]
        return [record.values[place] for record in self.records]

    def rows(self) -> list[Found]:
        """The records by column name."""
        return [{name: record.values[place] for name, place in self.columns.items()} for record in self.records]

    def table(self, name: str) -> Sequence[Found]:
        """The rows fetched for a need."""
        return self.tables[name]


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of another table that a rule looks at.

    ``of`` gives the values of ``key`` that are wanted, from the batch and the needs before this one; ``None``: the
    whole table, read once a session as setup tables are, or for each batch when it ``grows`` by what is written.
    ``mapping``: rows also tell whether they are ``inside`` the filter of that mapping, which is of the same table.
    ``couplings`` instead of ``table``: the couplings of that mapping; columns are then ``key``,
    ``business_central_id`` and ``dataverse_id``, any of which may be the ``key`` to ask by. ``options`` instead: those
    that this mapping coupled, with ``code`` and ``value``. ``optional``: no rows, where the route lacks the table.
    """

    name: str
    side: Side = "business_central"
    table: str = ""
    mapping: str = ""
    couplings: str = ""
    options: str = ""
    columns: tuple[str, ...] = ()
    key: str = ""
    of: Callable[[Batch], Iterable[Scalar]] | None = None
    grows: bool = False
    optional: bool = False


NOTHING: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A registered rule function. ``side``: whose records it looks at; ``reads``: columns it needs there.

    ``daily``: its result depends on the work date, so on a new day every record is looked at.
    ``of``: whether it speaks of records that are ``new`` (not coupled yet), of ``coupled`` ones, or of all.
    ``writes``: by table, the columns of Business Central that it supplies or writes; the mapping's own table has no
    name there. ``foreseen``: what it will write can be told from what is planned.
    """

    name: str
    kind: RuleKind
    function: Callable[[Batch], Any]
    side: Side = "business_central"
    reads: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    daily: bool = False
    of: Of = "all"
    writes: Mapping[str, tuple[str, ...]] = NOTHING
    foreseen: bool = False


RULES: dict[str, Rule] = {}

ComputeFunction = Callable[[Batch], list[Scalar | Refusal]]
ReferencesFunction = Callable[[Batch], References]
RefuseFunction = Callable[[Batch], list[Refusal | None]]
Parts = Mapping[str, Scalar | Sequence[Mapping[str, Scalar]]]
"""Columns of a new record and, under the name by which they hang there, new rows below it."""
Complete = TypeVar("Complete", bound=Callable[[Batch], Sequence[Parts | Refusal]])


class Succession(msgspec.Struct, frozen=True, kw_only=True):
    """A new record takes the place of a coupled one (``of``, an id), and its partner.

    That gets what a new partner would: columns, ``values`` before them, and rows below. ``below``: tables whose rows
    go then, and their column that names the partner.
    """

    of: str
    values: Mapping[str, Scalar]
    below: Mapping[str, str]


SucceedFunction = Callable[[Batch], list[Succession | None]]
WritesFunction = Callable[[Batch], list[FollowUp]]


def _register(kind: RuleKind, function: Callable[[Batch], Any], **declared: Any) -> None:
    name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
    RULES[name] = Rule(name=name, kind=kind, function=function, **declared)


def compute(
    *, reads: tuple[str, ...], side: Side = "business_central", needs: tuple[Need, ...] = (), daily: bool = False
) -> Callable[[ComputeFunction], ComputeFunction]:
    """Register a function that computes one field's value for each record, or refuses it."""

    def register(function: ComputeFunction) -> ComputeFunction:
        _register("compute", function, side=side, reads=reads, needs=needs, daily=daily)
        return function

    return register


def references(*, needs: tuple[Need, ...]) -> Callable[[ReferencesFunction], ReferencesFunction]:
    """Register a function that computes which value stands for which record (``Lookup.by``)."""

    def register(function: ReferencesFunction) -> ReferencesFunction:
        _register("references", function, needs=needs)
        return function

    return register


def refuse(
    *, reads: tuple[str, ...], side: Side = "business_central", needs: tuple[Need, ...] = (), of: Of = "all"
) -> Callable[[RefuseFunction], RefuseFunction]:
    """Register a function that says for each record, or those that it is ``of``, why it must not synchronise."""

    def register(function: RefuseFunction) -> RefuseFunction:
        _register("refuse", function, side=side, reads=reads, needs=needs, of=of)
        return function

    return register


def complete(
    *,
    reads: tuple[str, ...] = (),
    side: Side = "business_central",
    needs: tuple[Need, ...] = (),
    writes: Mapping[str, tuple[str, ...]] = NOTHING,
) -> Callable[[Complete], Complete]:
    """Register a function that supplies further columns, and rows below, for each new partner of ``side``'s records,
    or says why it cannot be made."""

    def register(function: Complete) -> Complete:
        _register("complete", function, side=side, reads=reads, needs=needs, writes=writes)
        return function

    return register


def succeed(
    *,
    reads: tuple[str, ...] = (),
    side: Side = "business_central",
    needs: tuple[Need, ...] = (),
    writes: Mapping[str, tuple[str, ...]] = NOTHING,
) -> Callable[[SucceedFunction], SucceedFunction]:
    """Register a function that says which coupled record each new one takes the place of, if any."""

    def register(function: SucceedFunction) -> SucceedFunction:
        _register("succeed", function, side=side, reads=reads, needs=needs, writes=writes)
        return function

    return register


def precede(
    *, reads: tuple[str, ...] = (), side: Side = "business_central", needs: tuple[Need, ...] = ()
) -> Callable[[WritesFunction], WritesFunction]:
    """Register a function that plans writes without which the partners of ``side``'s records cannot be written."""

    def register(function: WritesFunction) -> WritesFunction:
        _register("precede", function, side=side, reads=reads, needs=needs)
        return function

    return register


def follow(
    *,
    reads: tuple[str, ...] = (),
    side: Side = "business_central",
    needs: tuple[Need, ...] = (),
    writes: Mapping[str, tuple[str, ...]] = NOTHING,
    foreseen: bool = False,
) -> Callable[[WritesFunction], WritesFunction]:
    """Register a function that plans writes which follow once ``side``'s records were synchronised.

    ``foreseen``: a preview runs it, too, on rows as they will be.
    """

    def register(function: WritesFunction) -> WritesFunction:
        declared: dict[str, Any] = {"reads": reads, "needs": needs, "writes": writes, "foreseen": foreseen}
        _register("follow", function, side=side, **declared)
        return function

    return register


def gone(
    *, reads: tuple[str, ...] = (), side: Side = "business_central", needs: tuple[Need, ...] = ()
) -> Callable[[WritesFunction], WritesFunction]:
    """Register a function that plans what becomes of ``side``'s records whose partners were deleted."""

    def register(function: WritesFunction) -> WritesFunction:
        _register("gone", function, side=side, reads=reads, needs=needs)
        return function

    return register


def uncouple(
    *, reads: tuple[str, ...] = (), side: Side = "business_central", needs: tuple[Need, ...] = ()
) -> Callable[[WritesFunction], WritesFunction]:
    """Register a function that plans what is written to ``side``'s records before they are uncoupled."""

    def register(function: WritesFunction) -> WritesFunction:
        _register("uncouple", function, side=side, reads=reads, needs=needs)
        return function

    return register


def undeclared(rule: Rule, results: Iterable[Any]) -> set[tuple[str, str]]:
    """Table and column of what a rule supplied to Business Central, or planned to write there, without saying so."""
    if rule.kind == "complete" and rule.side == "dataverse":
        written = {place for parts in results if not isinstance(parts, Refusal) for place in _supplied(parts)}
    elif rule.kind == "succeed":
        written = {("", column) for found in results if found for column in found.values}
    elif rule.kind in ("precede", "follow", "gone", "uncouple"):
        ups = [up for up in results if up.side == "business_central"]
        written = {(up.table, column) for up in ups for column in up.values}
    else:
        return set()
    return written - {(table, column) for table, columns in rule.writes.items() for column in columns}


def _supplied(parts: Parts) -> Iterator[tuple[str, str]]:
    """A list is of rows below the new one."""
    for name, value in parts.items():
        if isinstance(value, list):
            yield from ((name, column) for row in value for column in row)
        else:
            yield "", name


def rule_named(name: str) -> Rule:
    """The rule a mapping names; ``MappingError`` when there is none."""
    try:
        return RULES[name]
    except KeyError:
        known = ", ".join(sorted(RULES))
        raise MappingError(f"there is no rule {name!r}", remedy=f"known rules: {known}") from None
