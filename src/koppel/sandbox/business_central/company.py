"""The simulated environment: its companies, their tables and settings, and how they are filled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import NAMESPACE_URL, uuid5

import msgspec

from koppel.catalogue.pages import COMPANIES, ZERO_GUID, Catalogue, Page
from koppel.sandbox.business_central.custom import catalogue_with
from koppel.sandbox.business_central.limits import Limits
from koppel.sandbox.business_central.logic import LOGIC
from koppel.sandbox.business_central.logic.hooks import Logic
from koppel.sandbox.business_central.store import Stamp, Store, shown_time
from koppel.sandbox.business_central.subscriptions import Subscriptions
from koppel.sandbox.business_central.users import catalogue_with_users
from koppel.sandbox.business_central.work import Work, new_id
from koppel.sandbox.custom import BusinessCentralPage
from koppel.sandbox.tables import Row

_SERIES = {
    "CUST": "C00000",
    "CONT": "CT000000",
    "VEND": "V00000",
    "ITEM": "I00000",
    "RES": "R00000",
    "OPP": "OP000000",
    "S-QUO": "S-QUO1000",
    "S-ORD": "S-ORD101000",
    "S-INV+": "PS-INV200000",
    "S-CR+": "PS-CR104000",
}
"""The number series of a new company, each with the number before its first."""

Caller = Callable[[str | None], str | None]
"""From the ``Authorization`` header to the user's GUID; None: nobody known."""

Right = Literal["read", "insert", "modify", "delete"]


class NumberSeries(msgspec.Struct):
    """Where numbers come from: ``last`` is the one given last; ``manual`` numbers may be allowed beside it."""

    last: str
    manual: bool = True


class Settings(msgspec.Struct):
    """What an administrator, or a test, may set.

    ``client_ids``: what API v2.0 does with an ``id`` in a POST (the companion route takes it). ``page_size`` is the
    largest page. ``limits``: None switches them off. ``missing``: rights that users (GUID) lack, as table and right.
    """

    client_ids: Literal["refuse", "ignore", "take"] = "refuse"
    page_size: int = 20_000
    limits: Limits | None = None
    missing: dict[str, set[tuple[str, Right]]] = msgspec.field(default_factory=dict)


class Company:
    """One company: a store a table and number series; ``last_link`` numbers its notes.

    ``tags`` of rows as they were last shown and ``writers`` of rows are kept as long as the local currency stays.
    """

    def __init__(self, name: str, tables: Catalogue) -> None:
        self.name = name
        self.id = str(uuid5(NAMESPACE_URL, f"koppel:company:{name}"))
        self.stores = {key: Store(info) for key, info in tables.tables.items() if _belongs_to_company(key, tables)}
        self.series = {code: NumberSeries(last) for code, last in _SERIES.items()}
        self.last_link = 0
        self.tags: dict[Page, dict[str, tuple[Row, str]]] = {}
        self.writers: dict[tuple[Page, tuple[str, ...] | None], Callable[[Row], dict[str, Any]]] = {}

    def forget_shown(self) -> None:
        """Drop what was derived from the local currency."""
        self.tags.clear()
        self.writers.clear()

    @property
    def local_currency(self) -> str:
        """The code of the local currency (LCY)."""
        code: str = self.stores["generalLedgerSetup"].only().get("localCurrencyCode", "")
        return code


class BusinessCentral:
    """The environment. ``last`` is the time of the latest write: times only move forward."""

    def __init__(
        self, clock: Callable[[], datetime], caller: Caller, pages: Sequence[BusinessCentralPage] = ()
    ) -> None:
        self.catalogue = catalogue_with(catalogue_with_users(), pages) if pages else catalogue_with_users()
        self.settings = Settings()
        self.caller = caller
        self.companies: dict[str, Company] = {}
        self.company_rows = Store(self.catalogue.tables[COMPANIES])
        self.subscriptions = Subscriptions(self)
        self._clock = clock
        self._last = ""
        self._version = 0

    def add_company(self, name: str, *, local_currency: str, display_name: str = "") -> Company:
        """A company with nothing in it but its setup. ``ValueError`` when there is one of that name."""
        if name in self.companies:
            raise ValueError(f"company {name!r} exists")
        company = self.companies[name] = Company(name, self.catalogue)
        stamp = self.stamp()
        times = {"systemCreatedAt": shown_time(stamp), "systemModifiedAt": shown_time(stamp)}
        row = {"id": company.id, "name": name, "displayName": display_name or name, **times}
        self.company_rows.put(row | {"timestamp": stamp[1]}, stamp)
        self.load(name, "companyInformation", [{"displayName": display_name or name}])
        self.load(name, "generalLedgerSetup", [{"localCurrencyCode": local_currency}])
        self.load(name, "marketingSetup", [{}])
        self.load(name, "salesReceivablesSetup", [_SALES_NUMBERS])
        return company

    def stamp(self) -> Stamp:
        """Time and version of a write that happens now."""
        self._last = max(self._last, _sql_milliseconds(self._clock()))
        self._version += 1
        return self._last, self._version

    def now(self) -> datetime:
        """The time."""
        return self._clock()

    def today(self) -> str:
        """The date now: that of new documents."""
        return self._clock().date().isoformat()

    def load(self, company: str, table: str, rows: Iterable[Mapping[str, Any]], *, user: str = ZERO_GUID) -> None:
        """Put rows straight into a table, without business logic: names are those of the companion page.

        ``id`` and the system fields are filled where absent; ids and codes of a reference complete each other. A row
        whose id is there replaces it; so does one without an id whose key is there. For a table with one row (setup)
        the values are put into that. ``ValueError`` for a name that the table does not have.
        """
        store = self.companies[company].stores[table]
        work = Work(self, self.companies[company], user)
        logic = LOGIC.get(table, Logic())
        empties = {name: field.empty for name, field in store.info.fields.items()}
        before = {} if store.info.key or not store.rows else store.only()
        for values in rows:
            row = _loaded_row(store, empties, {**before, **values})
            _complete_pairs(self.companies[company], store, row)
            if logic.loading is not None:
                logic.loading(work, row)
            work.place(store, row)
            if logic.loaded is not None:
                logic.loaded(work, row)
        if table == "generalLedgerSetup":
            self.companies[company].forget_shown()


def _loaded_row(store: Store, empties: dict[str, Any], values: Row) -> Row:
    """The row as it is stored: without what is empty, with an id: that of the row with its key, if there is one."""
    try:
        row = {name: value for name, value in values.items() if value != empties[name] or name in _TIMES}
    except KeyError:
        unknown = ", ".join(sorted(values.keys() - empties.keys()))
        raise ValueError(f"table {store.info.name!r} has no {unknown}") from None
    if not row.get("id"):
        known = store.find(*store.key_of(row)) if any(row.get(name) for name in store.info.key) else None
        row["id"] = new_id() if known is None else known["id"]
    row["id"] = str(row["id"]).lower()
    return row


_SALES_NUMBERS = {
    "quoteNos": "S-QUO",
    "orderNos": "S-ORD",
    "postedInvoiceNos": "S-INV+",
    "postedCreditMemoNos": "S-CR+",
}
_TIMES = frozenset({"lastModifiedDateTime", "systemCreatedAt"})
"""An unset time says something: that the row was copied."""


def create_business_central(
    clock: Callable[[], datetime], *, caller: Caller, pages: Sequence[BusinessCentralPage] = ()
) -> BusinessCentral:
    """An environment without companies. ``clock`` gives times in UTC, ``caller`` tells who asks; ``pages``: custom
    ones, added."""
    return BusinessCentral(clock, caller, pages)


def _belongs_to_company(name: str, tables: Catalogue) -> bool:
    return name != COMPANIES and not tables.tables[name].computed


def _complete_pairs(company: Company, store: Store, row: Row) -> None:
    for id_name, code_name in store.info.pairs.items():
        related = company.stores.get(store.info.relations[code_name])
        if related is None:
            continue
        if row.get(code_name) and (found := related.find(row[code_name])):
            row[id_name] = found["id"]
        elif row.get(id_name) in related.rows:
            row[code_name] = related.key_of(related.rows[row[id_name]])[0]


def _sql_milliseconds(moment: datetime) -> str:
    """ISO time of a moment in UTC, in the steps that SQL's datetime knows: 0, 3 and 7 milliseconds."""
    text = moment.isoformat(timespec="milliseconds")
    return f"{text[:22]}{'0003337777'[int(text[22])]}Z"
