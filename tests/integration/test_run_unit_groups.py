"""A unit group for each item and resource, instead of one for each unit of measure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from catalogue import bike, failure
from world import World, new_world
from world_data import Row

from koppel.engine.action import Action
from koppel.sandbox.seed_business_central import COMPANY
from koppel.store.database import Database
from koppel.sync.run import plan
from koppel.sync.verify import verify
from switches import UNIT_GROUPS, switch

GROUPS, UNITS = "UNIT GROUP", "ITEM UOM"
INACTIVE = {"statecode": 1, "statuscode": 2}


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with new_world(database, folders=[switch(tmp_path, **UNIT_GROUPS)]) as world:
        yield world


async def group(world: World, number: str = "BK-1") -> Row:
    """The unit group of an item."""
    return await world.alice.one("uomschedules", f"name eq 'ITEM {number} UOM GR'")


async def units(world: World, group: Row) -> dict[str, Row]:
    """Its units by name."""
    found = await world.alice.rows("uoms", f"_uomscheduleid_value eq {group['uomscheduleid']}")
    return {row["name"]: row for row in found}


async def box(world: World, quantity: float = 10, number: str = "BK-1") -> Row:
    """Another unit of an item."""
    return await world.bob.create("itemUnitsOfMeasure", itemNo=number, code="BOX", qtyPerUnitOfMeasure=quantity)


@pytest.mark.rule("UOM-08")
async def test_each_item_and_resource_has_a_group_of_its_own(world: World) -> None:
    await bike(world)
    world.sandbox.business_central.load(COMPANY, "resources", [{"number": "BK-1", "baseUnitOfMeasureCode": "BOX"}])
    await world.sync(GROUPS)
    groups = await world.alice.rows("uomschedules")
    assert sorted((row["name"], row["baseuomname"]) for row in groups) == [
        ("ITEM BK-1 UOM GR", "ITEM BK-1 UOM GR"),
        ("RESOURCE BK-1 UOM GR", "RESOURCE BK-1 UOM GR"),
    ]
    assert {row["name"] for row in await world.alice.rows("uoms")} == {row["name"] for row in groups}
    await world.quiet(GROUPS)


@pytest.mark.rule("UOM-08")
async def test_a_group_of_the_name_is_taken(world: World) -> None:
    made = await world.alice.create("uomschedules", name="ITEM BK-1 UOM GR", baseuomname="each")
    await bike(world)
    await world.sync(GROUPS)
    assert [row["uomscheduleid"] for row in await world.alice.rows("uomschedules")] == [made["uomscheduleid"]]
    assert [coupling.dataverse_id for coupling in await world.couplings(GROUPS)] == [made["uomscheduleid"]]
    await world.quiet(GROUPS)


@pytest.mark.rule("UOM-08")
async def test_the_group_follows_a_new_number(world: World) -> None:
    item = await bike(world)
    await world.sync(GROUPS)
    before = await group(world)
    await world.bob.update("items", item["id"], number="BK-2")
    await world.sync(GROUPS)
    assert (await group(world, "BK-2"))["uomscheduleid"] == before["uomscheduleid"]
    assert await world.failures(GROUPS) == []
    await world.quiet(GROUPS)


@pytest.mark.rule("UOM-13")
async def test_an_inactive_group_cannot_be_used(world: World) -> None:
    made = await world.alice.create("uomschedules", name="ITEM BK-1 UOM GR", baseuomname="each")
    await world.alice.update("uomschedules", made["uomscheduleid"], INACTIVE)
    await bike(world)
    await world.sync(GROUPS)
    assert await failure(world, GROUPS) == "unit group ITEM BK-1 UOM GR exists but is inactive"
    assert await world.couplings(GROUPS) == []


@pytest.mark.rule("UOM-09")
async def test_units_go_into_the_group_of_their_item(world: World) -> None:
    await bike(world)
    await box(world)
    world.sandbox.business_central.load(COMPANY, "resources", [{"number": "BK-1", "baseUnitOfMeasureCode": "PCS"}])
    for name in (GROUPS, UNITS, "RESOURCE UOM"):
        await world.sync(name)
        assert await world.failures(name) == []
    found = await units(world, await group(world))
    assert {name: row["quantity"] for name, row in found.items()} == {"ITEM BK-1 UOM GR": 1, "PCS": 1, "BOX": 10}
    assert [name for name, row in found.items() if row["isschedulebaseuom"]] == ["ITEM BK-1 UOM GR"]
    of_resource = await world.alice.one("uomschedules", "name eq 'RESOURCE BK-1 UOM GR'")
    assert set(await units(world, of_resource)) == {"RESOURCE BK-1 UOM GR", "PCS"}
    verified = await verify(world.session, [GROUPS, UNITS, "RESOURCE UOM"])
    assert (verified.compared, verified.differences) == (5, [])
    await world.quiet(GROUPS, UNITS, "RESOURCE UOM")


@pytest.mark.rule("UOM-09")
async def test_a_unit_of_the_name_in_the_group_is_taken_and_one_elsewhere_is_not(world: World) -> None:
    await bike(world)
    await bike(world, number="BK-2")
    await world.sync(GROUPS)
    mine = await group(world)
    made = await world.alice.create(
        "uoms",
        {"name": "PCS", "quantity": 3, "uomscheduleid@odata.bind": f"/uomschedules({mine['uomscheduleid']})"},
    )
    await world.sync(UNITS)
    assert await world.failures(UNITS) == []
    found = await units(world, mine)
    assert (found["PCS"]["uomid"], found["PCS"]["quantity"]) == (made["uomid"], 1)
    assert "PCS" in await units(world, await group(world, "BK-2"))
    await world.quiet(UNITS)


@pytest.mark.rule("UOM-09")
async def test_units_follow_what_changes_in_business_central(world: World) -> None:
    await bike(world)
    carton = await box(world)
    for name in (GROUPS, UNITS):
        await world.sync(name)
    await world.bob.update("itemUnitsOfMeasure", carton["id"], qtyPerUnitOfMeasure=12)
    await world.sync(UNITS)
    assert (await units(world, await group(world)))["BOX"]["quantity"] == 12
    await world.quiet(UNITS)


@pytest.mark.rule("UOM-09")
async def test_a_group_that_is_missing_is_brought_along(world: World) -> None:
    await bike(world)
    assert [action.mapping for action in await planned(world)] == [GROUPS, UNITS]
    result = await world.sync(UNITS)
    assert (result.counts["created"], [part.counts["created"] for part in result.parts]) == (1, [1])
    assert set(await units(world, await group(world))) == {"ITEM BK-1 UOM GR", "PCS"}


async def planned(world: World) -> list[Action]:
    return [action async for action in plan(world.session, UNITS)]


@pytest.mark.rule("UOM-09")
async def test_an_item_without_unit_group_is_named(world: World) -> None:
    await bike(world)
    [row] = await world.bob.rows("unitGroups")
    store = world.sandbox.business_central.companies[COMPANY].stores["unitGroups"]
    store.remove(row["id"], world.sandbox.business_central.stamp())
    await world.sync(UNITS)
    assert await failure(world, UNITS) == "item BK-1 has no unit group in Business Central"
