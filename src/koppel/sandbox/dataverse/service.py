"""The organisation: its tables, its settings, and what a write does apart from what was sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec

from koppel.odata.literals import format_instant
from koppel.sandbox.custom import DataverseTable
from koppel.sandbox.dataverse import deletion, errors, states
from koppel.sandbox.dataverse.bodies import BodyReader
from koppel.sandbox.dataverse.choices import OptionSet, option_sets
from koppel.sandbox.dataverse.custom import document_with
from koppel.sandbox.dataverse.keys import AlternateKey, KeyRing
from koppel.sandbox.dataverse.limits import Limits
from koppel.sandbox.dataverse.logic import GENERAL, LOGIC, TableLogic
from koppel.sandbox.dataverse.rows import RowWriters
from koppel.sandbox.dataverse.schema import TARGET, TableSchema, read_schema, standard_document
from koppel.sandbox.dataverse.store import Store
from koppel.sandbox.dataverse.webhooks import Webhooks, load_messages
from koppel.sandbox.tables import Row, Table

ZERO = "00000000-0000-0000-0000-000000000000"
BULK = frozenset({"CreateMultiple", "UpdateMultiple", "UpsertMultiple"})
REGISTRATION = frozenset({"serviceendpoint", "sdkmessage", "sdkmessagefilter", "sdkmessageprocessingstep"})
WITHOUT_BULK = frozenset({"productpricelevel", "organization", "post", *REGISTRATION})
WITHOUT_TRACKING = frozenset(
    {"organization", "businessunit", "orderclose", "opportunityclose", "quoteclose", "post", *REGISTRATION}
)
WITHOUT_UPDATE = frozenset({"post"})

_SERVER_FILLS = frozenset({"organizationid", "statecode", "propertyconfigurationstatus", "revisionnumber"})
_YES = frozenset({("organization", "oobpricecalculationenabled"), ("organization", "ispricelistmandatory")})
"""Two-option columns that say yes in a new row."""
_NOT_CHECKED = frozenset({"systemuser", "team", "businessunit", "organization"})


class Caller(msgspec.Struct, frozen=True):
    """Who asks: the ``user`` whose rights count and, when impersonated, the one who really called."""

    user: str
    real: str = ""


class Dataverse:
    """One simulated organisation.

    ``own_user`` stands for the server itself (it owns what is loaded). ``users_by_token`` maps bearer tokens to users
    where the host brings no resolution of its own. ``missing_privileges`` takes rights away from users by name
    (``prvCreateAccount``). ``tracked`` are the tables with change tracking, ``bulk`` the bulk messages of each table.
    ``empty_last_page``: a full page is followed by a link even when no row is left. ``option_prefix`` begins the
    values that the server picks for new options. ``keys.build_seconds`` is how long a new alternate key is not usable.
    ``draft_columns`` are those of products that stay as they are while the product is active or retired.
    ``off_list_lines``: documents take products that are not on their price list, with an overridden price or an error.
    """

    def __init__(self, clock: Callable[[], datetime], tables: Sequence[DataverseTable] = ()) -> None:
        self.clock = clock
        self.document = document_with(standard_document(), tables) if tables else standard_document()
        self.schema = read_schema(self.document)
        self.store = Store(self.schema.tables)
        self.option_sets: dict[str, OptionSet] = option_sets(self.schema)
        self.keys = KeyRing(self.store, clock)
        self.limits = Limits(clock)
        self.own_user = ZERO
        self.users_by_token: dict[str, str] = {}
        self.missing_privileges: dict[str, set[str]] = {}
        self.tracked = {name for name in self.schema.tables if name not in WITHOUT_TRACKING}
        self.bulk = {name: frozenset() if name in WITHOUT_BULK else BULK for name in self.schema.tables}
        self.empty_last_page = True
        self.option_prefix = 10_000
        self.draft_columns = frozenset({"quantitydecimal"})
        self.off_list_lines = False
        self.defaults: dict[str, dict[str, Any]] = {
            name: _defaults(table, self.option_sets) for name, table in self.schema.tables.items()
        }
        self._afterwards: dict[tuple[str, str], Callable[[], None]] | None = None
        self.sorted_rows: dict[tuple[str, ...], tuple[int, list[Row]]] = {}
        self.writers = RowWriters(self)
        self.bodies = {name: BodyReader(self, table) for name, table in self.schema.tables.items()}
        self.webhooks = Webhooks(self)
        self._required = {name: _required(table) for name, table in self.schema.tables.items()}
        load_messages(self, self.schema.tables.keys() - REGISTRATION, self.bulk.__getitem__)

    @property
    def tables(self) -> dict[str, Table]:
        """The rows, by logical name of the table."""
        return self.store.tables

    @property
    def organization(self) -> Row:
        """The row of the organisation; empty before it is loaded."""
        return next(iter(self.tables["organization"].rows.values()), {})

    @property
    def base_currency(self) -> str:
        """Id of the organisation's currency."""
        return str(self.organization.get("_basecurrencyid_value", ZERO))

    def now(self) -> str:
        """The time in whole seconds, as it travels."""
        return format_instant(self.clock())

    def row(self, table: str, key: str | None) -> Row | None:
        """A row by id."""
        return self.tables[table].rows.get(key) if key else None

    def children(self, table: str, column: str, key: str) -> list[Row]:
        """The rows of ``table`` whose lookup points to ``key``."""
        rows = self.tables[table].rows
        return [rows[child] for child in self.store.index(table, column).find([key])]

    def transaction(self) -> AbstractContextManager[None]:
        """All writes within, or none."""
        return self.store.transaction()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is to be done ``afterwards`` is done at the end, once; inside another one at the end of that."""
        if self._afterwards is not None:
            yield
            return
        self._afterwards = {}
        try:
            yield
            works, self._afterwards = self._afterwards, None
        finally:
            self._afterwards = None
        for work in works.values():
            work()

    def afterwards(self, key: tuple[str, str], work: Callable[[], None]) -> None:
        """Do something for a row after all that belongs to the same request; at once outside ``together``."""
        if self._afterwards is None:
            work()
        else:
            self._afterwards[key] = work

    def define_key(self, table: str, name: str, *columns: str) -> AlternateKey:
        """Declare an alternate key over columns by their logical names."""
        schema = self.schema.tables[table]
        return self.keys.define(table, name, tuple(schema.by_logical[column].name for column in columns), columns)

    def load(self, table: str, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        """Put rows in as if they had always been there: values as they are read, states and audit columns as given.

        Single values are not checked, the application's rules hold; what is left out is filled in as on creation.
        Returns the ids.
        """
        caller = Caller(self.own_user)
        return [self._load(table, dict(row), caller) for row in rows]

    def _load(self, table: str, given: Row, caller: Caller) -> str:
        self._point(table, given)
        row = self._new(table, given, caller)
        row.update(value for value in given.items() if value[0] in _AUDIT and value[1] is not None)
        states.complete(self, table, row, given)
        _prepare(self, table, row, caller)
        self.store.put(table, row[self.schema.tables[table].id_column], row)
        return str(row[self.schema.tables[table].id_column])

    def _point(self, table: str, row: Row) -> None:
        """Note for each lookup with several targets which one it is, unless the row says so."""
        for column in self.schema.tables[table].columns.values():
            key = row.get(column.name) if len(column.targets) > 1 else None
            if key is not None and column.name + TARGET not in row:
                found = (name for name in column.targets if name in self.tables and key in self.tables[name].rows)
                row[column.name + TARGET] = next(found, column.targets[0])

    def create(self, table: str, values: Mapping[str, Any], caller: Caller) -> str:
        """A new row from values that were checked one by one (read names). Returns its id."""
        with self.transaction():
            row = self._new(table, values, caller)
            key = str(row[self.schema.tables[table].id_column])
            if key in self.tables[table].rows:
                raise errors.exists()
            states.at_birth(self, table, row, values)
            _prepare(self, table, row, caller)
            self._check_required(table, row)
            self.keys.check(table, key, row)
            self.webhooks.note(table, key, (), caller)
            self.store.put(table, key, row)
            _logic(table).after_create(self, row, caller)
            return key

    def update(self, table: str, key: str, values: Mapping[str, Any], caller: Caller) -> None:
        """Change columns of a row that exists."""
        if table in WITHOUT_UPDATE:
            raise errors.invalid_argument(f"The 'Update' message does not support entities of type '{table}'.")
        with self.transaction():
            before = self.tables[table].rows[key]
            row = {**before, **values}
            states.move(self, table, key, row, values)
            self._sign(row, caller)
            if "_ownerid_value" in values:
                self._own(row)
            for general in GENERAL:
                general(self, table, row, values, caller)
            _logic(table).before_update(self, before, row, values, caller)
            self.keys.check(table, key, row)
            self.webhooks.note(table, key, values, caller)
            self.store.put(table, key, row)
            _logic(table).after_update(self, before, row, caller)

    def touch(self, table: str, row: Row, caller: Caller) -> None:
        """Store a row that the application changed by itself: none of the table's own rules is asked."""
        self._sign(row, caller)
        self.store.put(table, row[self.schema.tables[table].id_column], row)

    def _sign(self, row: Row, caller: Caller) -> None:
        row["modifiedon"] = self.now()
        row["_modifiedby_value"] = caller.user
        row["_modifiedonbehalfby_value"] = caller.real or None

    def delete(self, table: str, key: str, caller: Caller) -> None:
        """Delete a row with what belongs to it."""
        with self.transaction():
            row = self.tables[table].rows[key]
            self.webhooks.note(table, key, (), caller)
            _logic(table).before_delete(self, row, caller)
            deletion.delete(self, table, key, caller)
            _logic(table).after_delete(self, row, caller)

    def _new(self, table: str, values: Mapping[str, Any], caller: Caller) -> Row:
        schema = self.schema.tables[table]
        now = self.now()
        row = {
            **self.defaults[table],
            "createdon": now,
            "modifiedon": now,
            "_createdby_value": caller.user,
            "_modifiedby_value": caller.user,
            **{name: value for name, value in values.items() if value is not None},
        }
        if caller.real:
            row["_createdonbehalfby_value"] = row["_modifiedonbehalfby_value"] = caller.real
        if "overriddencreatedon" in row:
            row["createdon"], row["overriddencreatedon"] = row["overriddencreatedon"], now
        row.setdefault(schema.id_column, str(uuid4()))
        if schema.is_principal:
            row["ownerid"] = row[schema.id_column]
        if schema.ownership == "UserOwned":
            row.setdefault("_ownerid_value", caller.user)
            self._own(row)
        elif "organizationid" in schema.by_logical and table != "organization":
            row.setdefault(schema.by_logical["organizationid"].name, self.organization.get("organizationid"))
        return row

    def _own(self, row: Row) -> None:
        """Let the columns that follow the owner follow."""
        owner = row["_ownerid_value"]
        if owner is None:
            raise errors.invalid_argument("A record cannot be without an owner.")
        kind = "team" if owner in self.tables["team"].rows else "systemuser"
        principal = self.tables[kind].rows.get(owner, {})
        if principal.get("isdisabled"):
            raise errors.invalid_argument(f"The owner {owner} is a disabled user; records cannot be assigned to it.")
        row["_ownerid_value" + TARGET] = kind
        row["_owninguser_value"] = owner if kind == "systemuser" else None
        row["_owningteam_value"] = owner if kind == "team" else None
        row["_owningbusinessunit_value"] = principal.get("_businessunitid_value")

    def _check_required(self, table: str, row: Row) -> None:
        for name, logical in self._required[table]:
            if row.get(name) is None:
                raise errors.missing_value(table, logical)


_AUDIT = frozenset({"createdon", "modifiedon", "_createdby_value", "_modifiedby_value", "overriddencreatedon"})


def create_dataverse(
    clock: Callable[[], datetime], *, own_user: str = ZERO, tables: Sequence[DataverseTable] = ()
) -> Dataverse:
    """An empty organisation: not even itself is in it before ``load`` brings it. ``tables``: custom ones, added."""
    dataverse = Dataverse(clock, tables)
    dataverse.own_user = own_user
    return dataverse


def _logic(table: str) -> TableLogic:
    return LOGIC.get(table, _NO_LOGIC)


_NO_LOGIC = TableLogic()


def _prepare(dataverse: Dataverse, table: str, row: Row, caller: Caller) -> None:
    for general in GENERAL:
        general(dataverse, table, row, row, caller)
    _logic(table).before_create(dataverse, row, caller)


def _defaults(table: TableSchema, sets: Mapping[str, OptionSet]) -> dict[str, Any]:
    """What a new row holds without being told: two-option columns mostly say no, the state is the first one."""
    options = (column.name for column in table.columns.values() if column.kind == "Boolean")
    defaults: dict[str, Any] = {name: (table.name, name) in _YES for name in options}
    return defaults | states.first(table, sets)


def _required(table: TableSchema) -> list[tuple[str, str]]:
    if table.name in _NOT_CHECKED:
        return []
    return [
        (column.name, column.logical)
        for column in table.columns.values()
        if column.required == "SystemRequired" and column.logical not in _SERVER_FILLS
    ]
