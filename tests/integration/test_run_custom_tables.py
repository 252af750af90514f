"""A custom table of Dataverse and a custom API page of Business Central, mapped by a file and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from world import ADDRESS, Person, World, new_world

from koppel.sandbox.custom import read_tables
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.tokens import BOB
from koppel.store.database import Database
from koppel.sync.verify import verify

TABLES = """\
business_central:
  - route: contoso/app/v1.0
    table: machines
    entity: machine
    key: [number]
    columns:
      number: {type: code, length: 20}
      description: {length: 50}
      customerNumber: {type: code, length: 20}
      hours: {type: decimal}
      installedOn: {type: date}
      isRented: {type: boolean}
      remark: {length: 250}
dataverse:
  - table: cr_machine
    set: cr_machines
    name: cr_name
    caption: Machine
    columns:
      cr_name: {length: 100, required: true}
      cr_serial: {length: 20}
      cr_owner: {type: lookup, to: account}
      cr_hours: {type: decimal}
      cr_installed: {length: 20}
      cr_rented: {type: boolean}
      cr_grade: {type: choice, options: {1: New, 2: Used}}
"""
MAPPING = """\
mapping: MACHINE
business_central: {table: contoso/app/v1.0/machines, key: number, filter: hours ge 0}
dataverse: {table: cr_machine, key: cr_serial, filter: statecode eq 0, create: {cr_grade: 2}}
only_coupled: false
depends_on: [CUSTOMER]
match: [[{business_central: number, dataverse: cr_serial}]]
fields:
  - {business_central: number, dataverse: cr_serial, code: true}
  - {business_central: description, dataverse: cr_name}
  - {business_central: customerNumber, dataverse: cr_owner, code: true, lookup: {mapping: CUSTOMER}}
  - {business_central: hours, dataverse: cr_hours}
  - {business_central: isRented, dataverse: cr_rented}
  - business_central: installedOn
    dataverse: cr_installed
    to_dataverse: [{do: format_date, culture: nl-NL}]
"""
RENTED_BY = {"business_central": "remark"}


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "tables.yml").write_text(TABLES, "utf-8")
    (mappings := tmp_path / "mappings").mkdir()
    (mappings / "machine.yaml").write_text(MAPPING, "utf-8")
    async with new_world(database, folders=[mappings], tables=read_tables(tmp_path / "tables.yml")) as world:
        yield world


def machinist(world: World) -> Person:
    """Bob, on the custom page."""
    company = world.sandbox.business_central.companies[COMPANY].id
    return Person(world.sandbox, BOB, f"{ADDRESS}/bc/v2.0/Production/api/contoso/app/v1.0/companies({company})/")


async def test_tables_that_nobody_foresaw_synchronise_both_ways(world: World) -> None:
    bob = machinist(world)
    customer = await world.bob.create("customers", {"displayName": "Adatum"})
    await world.sync(full=True)
    account = await world.account_of(customer)
    machine = await bob.create(
        "machines",
        number="M-1",
        description="Lathe",
        customerNumber=customer["number"],
        hours=12.5,
        installedOn="2024-01-31",
        isRented=True,
    )
    typed = await world.alice.create(
        "cr_machines", {"cr_name": "Press", "cr_serial": "M-2", "cr_installed": "5-3-2024", "cr_hours": 3}
    )
    result = await world.sync("MACHINE", full=True)
    assert (result.counts["created"], result.counts["failed"]) == (2, 0)
    lathe = await world.alice.one("cr_machines", "cr_serial eq 'M-1'")
    assert (lathe["cr_name"], lathe["cr_hours"], lathe["cr_installed"]) == ("Lathe", 12.5, "31-1-2024")
    assert (lathe["_cr_owner_value"], lathe["cr_rented"], lathe["cr_grade"]) == (account["accountid"], True, 2)
    assert lathe["cr_machineid"] == machine["id"]
    press = await bob.one("machines", "number eq 'M-2'")
    assert (press["description"], press["hours"], press["installedOn"]) == ("Press", 3, "2024-03-05")
    assert press["id"] != typed["cr_machineid"]
    await world.quiet("MACHINE")

    await bob.update("machines", machine["id"], description="Lathe II")
    await world.alice.update("cr_machines", lathe["cr_machineid"], cr_installed="1-2-2024")
    await world.alice.update("cr_machines", typed["cr_machineid"], cr_installed="whenever")
    result = await world.sync("MACHINE")
    assert (result.counts["updated"], result.counts["failed"]) == (1, 1)
    assert (await bob.row("machines", machine["id"]))["installedOn"] == "2024-02-01"
    assert (await world.alice.row("cr_machines", lathe["cr_machineid"]))["cr_name"] == "Lathe II"
    [failure] = await world.failures("MACHINE")
    assert failure.message == "installedOn 'whenever' is not written like d-M-yyyy"
    await world.alice.update("cr_machines", typed["cr_machineid"], cr_installed="")
    await world.sync("MACHINE")
    assert (await bob.row("machines", press["id"]))["installedOn"] == "0001-01-01"
    await world.quiet("MACHINE")
    found = await verify(world.session, ["MACHINE"])
    assert (found.compared, found.sound, found.explained) == (2, True, [])
