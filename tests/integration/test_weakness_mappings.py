"""Weaknesses of the connector inside Business Central that Koppel must not have: what mappings say.

Each test bears the id under which ``docs/weaknesses.md`` tells of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import msgspec
import pytest
from test_run_leaving import policy
from test_run_transformations import map_field
from world import World, new_world

from koppel.engine.rule import Batch
from koppel.errors import MappingError
from koppel.mapping.load import load_mappings
from koppel.mapping.model import Template
from koppel.odata.records import Record
from koppel.sandbox.seed_business_central import COMPANY
from koppel.store import options
from koppel.store.database import Database
from koppel.sync.explain import explain

DEALER = """\
mapping: DEALER
business_central: {table: vendors, key: number}
dataverse: {table: account, key: name, filter: customertypecode eq 11}
fields:
  - {business_central: displayName, dataverse: name%s}
"""


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


def mistake(path: Path, more: str) -> str:
    """What is said of a mapping whose field has ``more``."""
    (path / "vendor.yaml").write_text(DEALER % more, "utf-8")
    with pytest.raises(MappingError) as caught:
        load_mappings([path])
    return str(caught.value)


async def test_eng_321_leaving_the_filter_is_told(world: World) -> None:
    policy(world, "keep")
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.sync(full=True)
    await world.bob.update("customers", customer["id"], blocked="All")
    result = await world.sync()
    assert any(customer["number"] in line and "filter" in line for line in result.notices)
    told = await explain(world.session, "CUSTOMER", customer["number"])
    assert told.business_central is not None
    assert told.business_central.outside == ("blocked is 'All'",)
    policy(world, "uncouple")
    await world.sync()
    assert await world.couplings() == []


def test_eng_333_a_two_way_field_needs_a_transformation_each_way(tmp_path: Path) -> None:
    said = mistake(tmp_path, ", to_dataverse: [upper]")
    assert "vendor.yaml:5" in said
    assert "lossy: true" in said


async def test_eng_333_a_switched_off_field_transforms_nothing(world: World) -> None:
    map_field(world, business_central="website", dataverse="websiteurl", to_dataverse=("upper",), enabled=False)
    customer = await world.bob.create("customers", displayName="Adatum", website="adatum.example")
    await world.sync(full=True)
    assert (await world.account_of(customer))["websiteurl"] is None


async def test_eng_334_a_constant_stands_in_where_the_source_is_blank(world: World) -> None:
    map_field(
        world, business_central="website", dataverse="websiteurl", constant="none.example", direction="to_dataverse"
    )
    blank = await world.bob.create("customers", displayName="Adatum")
    filled = await world.bob.create("customers", displayName="Fabrikam", website="fabrikam.example")
    await world.sync(full=True)
    assert (await world.account_of(blank))["websiteurl"] == "none.example"
    assert (await world.account_of(filled))["websiteurl"] == "fabrikam.example"
    await world.quiet("CUSTOMER")


async def test_eng_335_a_template_overwrites_no_synchronised_value(world: World) -> None:
    template = Template(values={"address1_country": "DE", "description": "New"})
    end = msgspec.structs.replace(world.mappings["CUSTOMER"].dataverse, templates=(template,))
    world.change(dataverse=end)
    customer = await world.bob.create("customers", displayName="Adatum", country="NL")
    await world.sync(full=True)
    account = await world.account_of(customer)
    assert (account["address1_country"], account["description"]) == ("NL", "New")


async def test_def_03_whether_an_option_changed_is_judged_by_its_own_coupling(world: World) -> None:
    await world.sync("PAYMENT TERMS")
    before = await options.every(world.session.connection, "PAYMENT TERMS")
    await world.session.connection.commit()
    assert (await world.sync("PAYMENT TERMS", full=True)).write_requests == 0
    world.sandbox.business_central.load(COMPANY, "paymentTerms", [{"code": "60 DAYS", "displayName": "60 days"}])
    assert (await world.sync("PAYMENT TERMS")).counts["created"] == 1
    after = await options.every(world.session.connection, "PAYMENT TERMS")
    assert [option for option in after if option.code != "60 DAYS"] == before


def test_def_06_a_rule_sees_what_it_declared_and_nothing_else_passes_for_empty() -> None:
    batch = Batch(columns={"number": 0}, records=[Record("1", "", ("C1",))], today=date(2026, 1, 1))
    assert batch.column("number") == ["C1"]
    with pytest.raises(KeyError):
        batch.column("name")
    with pytest.raises(KeyError):
        batch.table("currencies")


def test_def_12_a_reference_to_a_table_without_mapping_is_refused_with_the_line(tmp_path: Path) -> None:
    said = mistake(tmp_path, ", lookup: {mapping: NOWHERE}")
    assert "vendor.yaml:5" in said
    assert "there is no mapping `NOWHERE`" in said
