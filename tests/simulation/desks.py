"""Where people work: the two tables of a mapping as people see them, and what a value in them means.

A value is told as text, whichever way it is spelled; an option by its code, which is its label.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from world import ADDRESS, Person, World
from world_data import Row

from koppel.mapping.model import FieldMapping, TableMapping
from koppel.odata.records import ZERO_GUID, Side
from koppel.sandbox.custom import BusinessCentralPage, Column, CustomTables, DataverseTable
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.tokens import BOB

Kind = Literal["text", "name", "key", "reference", "option"]

ROUTE = "contoso/app/v1.0"
CODE, TEXT, RETIRED = Column(type="code"), Column(), Column(type="boolean")
TABLES = CustomTables(
    business_central=(
        BusinessCentralPage(
            route=ROUTE,
            table="machines",
            entity="machine",
            key=("number",),
            columns={
                "number": CODE,
                "description": TEXT,
                "remark": TEXT,
                "customerNumber": CODE,
                "customerId": Column(type="guid"),
                "partOf": CODE,
                "siteCode": CODE,
                "isRetired": RETIRED,
            },
        ),
        BusinessCentralPage(
            route=ROUTE,
            table="sites",
            entity="site",
            key=("code",),
            columns={
                "code": CODE,
                "description": TEXT,
                "city": TEXT,
                "remark": TEXT,
                "chief": CODE,
                "isRetired": RETIRED,
            },
        ),
    ),
    dataverse=(
        DataverseTable(
            table="cr_machine",
            set="cr_machines",
            name="cr_name",
            columns={
                "cr_name": TEXT,
                "cr_serial": TEXT,
                "cr_remark": TEXT,
                "cr_owner": Column(type="lookup", to="account"),
                "cr_renter": Column(type="lookup", to="account"),
                "cr_partof": Column(type="lookup", to="cr_machine"),
                "cr_site": Column(type="lookup", to="cr_site"),
            },
        ),
        DataverseTable(
            table="cr_site",
            set="cr_sites",
            name="cr_name",
            columns={
                "cr_name": TEXT,
                "cr_code": TEXT,
                "cr_city": TEXT,
                "cr_remark": TEXT,
                "cr_chief": Column(type="lookup", to="cr_machine"),
            },
        ),
    ),
)
"""Tables of our own: their ids are chosen by Business Central, and nothing there happens by itself."""

SETS = {
    "CUSTOMER": "accounts",
    "CONTACT": "contacts",
    "SALESPEOPLE": "systemusers",
    "MACHINE": "cr_machines",
    "SITE": "cr_sites",
}
"""What the tables are called in addresses of Dataverse."""
NAMES = {
    "CUSTOMER": "displayName",
    "CONTACT": "surname",
    "SITE": "description",
    "MACHINE": "description",
}
"""The field that is never blank."""
SHAPES: Mapping[str, str] = {
    "phoneNumber": "555-{}",
    "phoneNo": "555-{}",
    "faxNo": "556-{}",
    "mobilePhoneNo": "557-{}",
    "pager": "558-{}",
    "website": "v{}.example",
    "email": "v{}@example.com",
    "postalCode": "P{}",
    "number": "M{}",
    "code": "S{}",
}


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A mapped pair of columns. ``to``: the mapping that a reference or option leads to."""

    said: FieldMapping
    kind: Kind
    to: str = ""

    @property
    def name(self) -> str:
        """What the field is called everywhere."""
        return self.said.name

    def column(self, side: Side) -> str:
        """The column as it stands in a row."""
        if side == "business_central":
            return self.said.business_central
        if self.kind != "reference":
            return self.said.dataverse
        return f"_{self.said.dataverse.removesuffix('_account')}_value"

    def typed(self, number: int) -> str:
        """Something new that a person types."""
        return SHAPES.get(self.said.business_central, "v{}").format(number)


def cell_of(mapping: str, said: FieldMapping) -> Cell:
    """How people see a field."""
    if said.lookup:
        return Cell(said=said, kind="reference", to=said.lookup.mapping)
    if said.options:
        return Cell(said=said, kind="option", to=said.options)
    if said.business_central == NAMES.get(mapping):
        return Cell(said=said, kind="name")
    return Cell(said=said, kind="key" if said.business_central in ("number", "code") else "text")


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """One mapping's tables. ``business_central`` and ``dataverse``: where people write, by their root and set."""

    mapping: TableMapping
    cells: Mapping[str, Cell]

    @property
    def name(self) -> str:
        """The mapping's name."""
        return self.mapping.name

    def set_of(self, side: Side) -> str:
        """What the table is called in an address."""
        table = self.mapping.business_central.table
        return table.rpartition("/")[2] if side == "business_central" else SETS[self.name]

    def id_column(self, side: Side) -> str:
        """The column of the id."""
        return "id" if side == "business_central" else f"{self.mapping.dataverse.table}id"

    def is_inside(self, side: Side, row: Row | None) -> bool:
        """Whether a row is inside the mapping's filter."""
        row = row or {}
        if side == "dataverse":
            inside = row.get("statecode", 0) == 0 and not row.get("isdisabled", False)
            return inside and (self.name != "CONTACT" or bool(row.get("_parentcustomerid_value")))
        if self.name == "CONTACT":
            return row.get("type") == "Person" and bool(row.get("companyNumber"))
        return row.get("blocked", "_x0020_") in ("", "_x0020_") and not row.get("isRetired", False)

    def moved(self, side: Side, row: Row) -> Row | None:
        """What takes a row out of the filter, or back; nothing where that is no single act."""
        inside = self.is_inside(side, row)
        if side == "dataverse":
            if self.name == "SALESPEOPLE":
                return None
            return {"statecode": int(inside), "statuscode": 2 if inside else 1}
        if self.name == "CUSTOMER":
            return {"blocked": "All" if inside else "_x0020_"}
        return {"isRetired": inside} if self.name in ("SITE", "MACHINE") else None


def desk_of(mapping: TableMapping) -> Desk:
    """The tables of a mapping of records."""
    seen = [said for said in mapping.fields if said.business_central and said.dataverse]
    return Desk(mapping=mapping, cells={said.name: cell_of(mapping.name, said) for said in seen})


def plain(value: Any) -> str:
    """A value as people would compare it, whichever way it is spelled (``mappings.STEPS``)."""
    return "" if value in (None, ZERO_GUID) else str(value).strip().replace("q", "v")


class Office:
    """Both systems as people know them. ``keys``: by mapping (or rule) and what references hold, whose id that is."""

    def __init__(self, world: World, names: list[str]) -> None:
        self.world = world
        self.names = names
        mappings = [world.mappings[name] for name in names]
        self.desks = {mapping.name: desk_of(mapping) for mapping in mappings if mapping.kind == "records"}
        self.options = [mapping for mapping in mappings if mapping.kind == "options"]
        self.keys: dict[tuple[str, str], str] = {}
        company = world.sandbox.business_central.companies[COMPANY].id
        root = f"{ADDRESS}/bc/v2.0/Production/api/{ROUTE}/companies({company})/"
        self._bob = Person(world.sandbox, BOB, root)

    def person(self, desk: Desk, side: Side) -> Person:
        """Who works there."""
        if side == "dataverse":
            return self.world.alice
        return self._bob if ROUTE in desk.mapping.business_central.table else self.world.bob

    def rows(self, name: str, side: Side) -> Mapping[str, Row]:
        """The rows of a mapping's table on a side, as the system holds them."""
        table = self.world.mappings[name].endpoint(side).table
        if side == "dataverse":
            return self.world.sandbox.dataverse.tables[table].rows
        return self.world.sandbox.business_central.companies[COMPANY].stores[table.rpartition("/")[2]].rows

    def learn(self) -> None:
        """Remember which records the keys of Business Central stand for, also once they are gone."""
        for name, desk in self.desks.items():
            key = desk.mapping.business_central.key
            for id, row in self.rows(name, "business_central").items():
                self.keys[name, str(row.get(key, ""))] = id
        customers = {number: id for (name, number), id in self.keys.items() if name == "CUSTOMER"}
        for row in self._store("contactBusinessRelations").values():
            if (number := row.get("number", "")) in customers:
                self.keys["contact.company", str(row["contactNumber"])] = customers[number]

    def _store(self, table: str) -> Mapping[str, Row]:
        return self.world.sandbox.business_central.companies[COMPANY].stores[table].rows

    def codes(self) -> list[Row]:
        """The terms of payment in Business Central."""
        return list(self._store("paymentTerms").values())

    def company_of(self, customer: Row) -> str:
        """The number of the company contact that stands for a customer; blank if none does."""
        rows = self._store("contactBusinessRelations").values()
        return next((str(row["contactNumber"]) for row in rows if row.get("number") == customer["number"]), "")

    def value(self, cell: Cell, side: Side, row: Row) -> str:
        """What a row says in a field."""
        return self.meaning(cell, side, row.get(cell.column(side)))

    def meaning(self, cell: Cell, side: Side, value: Any) -> str:
        """What a stored value says."""
        if cell.kind == "option":
            return plain(value if side == "business_central" or value is None else self.label(cell, value)).upper()
        return plain(value)

    def target(self, cell: Cell, side: Side, text: str) -> str:
        """The id of the record that a reference leads to, or led to; blank if none ever was called so."""
        lookup = cell.said.lookup
        if lookup is None or side == "dataverse" or lookup.by == "id":
            return text
        return self.keys.get((lookup.by if "." in lookup.by else cell.to, text), "")

    def label(self, cell: Cell, value: int) -> str:
        """The label of an option."""
        return self.choices(cell.to).get(value, f"?{value}")

    def choices(self, mapping: str) -> Mapping[int, str]:
        """The options of an option mapping's column, as the system holds them."""
        end = self.world.mappings[mapping].dataverse
        for found in self.world.sandbox.dataverse.option_sets.values():
            if (found.table, found.column) == (end.table, end.column):
                return {choice.value: choice.label for choice in found.current.values()}
        raise AssertionError(mapping)
