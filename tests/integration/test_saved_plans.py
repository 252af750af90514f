"""A plan in a file is carried out as it is, or refused with what moved since."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from world import World, new_world
from world_data import Row

from koppel.engine.brakes import Brakes
from koppel.errors import BrakeError, KoppelError
from koppel.store.database import Database
from koppel.sync.request import Request
from koppel.sync.run import plan
from koppel.sync.saved import apply_plan, is_written, read_plan, save_plan, saved_action
from koppel.sync.uncouple import uncouple
from koppel.systems.tally import tallied


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        for name in ("SALESPEOPLE", "CURRENCY"):
            await world.sync(name, full=True)
        yield world


@pytest.fixture
async def customer(world: World) -> Row:
    """A customer in step whose phone was edited since."""
    made = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    await world.sync(create=True)
    return await world.bob.update("customers", made["id"], phoneNumber="2")


async def saved(world: World, folder: Path, **asked: object) -> Path:
    """A plan of what is to be done now."""
    request = Request(**asked)  # type: ignore[arg-type]
    actions = [saved_action(a) async for a in plan(world.session, "CUSTOMER", request) if is_written(a)]
    save_plan(folder / "plan.json", world.session, ["CUSTOMER"], request, actions)
    return folder / "plan.json"


async def refused(world: World, file: Path) -> str:
    """Why the plan is not carried out; nothing is written."""
    with tallied() as sent, pytest.raises(KoppelError) as caught:
        [one async for one in apply_plan(world.session, read_plan(file))]
    assert sent.writes == 0
    assert "koppel plan --out FILE" in caught.value.remedy
    return caught.value.message


async def test_it_is_carried_out_when_nothing_moved(world: World, customer: Row, tmp_path: Path) -> None:
    file = await saved(world, tmp_path)
    (finished,) = [one async for one in apply_plan(world.session, read_plan(file))]
    assert finished.result is not None
    assert finished.result.counts["updated"] == 1
    assert (await world.account_of(customer))["telephone1"] == "2"
    assert "there is nothing to do any more" in await refused(world, file)


async def test_what_it_was_asked_for_is_kept(world: World, customer: Row, tmp_path: Path) -> None:
    asked = Request(records=(customer["number"],), create=True, direction="to_dataverse", create_unmatched=True)
    save_plan(tmp_path / "plan.json", world.session, ["CUSTOMER"], asked, [])
    assert read_plan(tmp_path / "plan.json").request == asked


async def test_the_source_moved(world: World, customer: Row, tmp_path: Path) -> None:
    file = await saved(world, tmp_path)
    await world.bob.update("customers", customer["id"], phoneNumber="3")
    told = await refused(world, file)
    assert f"CUSTOMER {customer['number']}: changed in Business Central since (version " in told
    assert "phoneNumber in Dataverse: '1' -> '2' is now '1' -> '3'" in told


async def test_the_destination_moved(world: World, customer: Row, tmp_path: Path) -> None:
    file = await saved(world, tmp_path)
    await world.alice.update("accounts", customer["id"], websiteurl="adatum.example")
    told = await refused(world, file)
    assert re.search(r'changed in Dataverse since \(version W/"\d+" is now W/"\d+"\)', told)
    assert "website in Business Central: nothing is now '' -> 'adatum.example'" in told


async def test_both_sides_moved_into_a_conflict(world: World, customer: Row, tmp_path: Path) -> None:
    file = await saved(world, tmp_path)
    await world.alice.update("accounts", customer["id"], telephone1="9")
    assert "both sides changed phoneNumber" in await refused(world, file)


async def test_another_record_moved(world: World, customer: Row, tmp_path: Path) -> None:
    other = await world.bob.create("customers", displayName="Fabrikam")
    await world.sync(records=(other["number"],), create=True)
    file = await saved(world, tmp_path)
    await world.alice.update("accounts", other["id"], telephone1="9")
    assert f"CUSTOMER {other['number']}: not in the plan (changed in Dataverse)" in await refused(world, file)


@pytest.mark.parametrize("side", ["Business Central", "Dataverse"])
async def test_a_record_was_deleted(world: World, customer: Row, tmp_path: Path, side: str) -> None:
    file = await saved(world, tmp_path)
    if side == "Dataverse":
        await world.alice.delete("accounts", customer["id"])
    else:
        await world.bob.delete("customers", customer["id"])
    told = await refused(world, file)
    assert f"CUSTOMER {customer['number']}: " in told
    assert f"deleted in {side}" in told


async def test_a_coupling_was_taken_apart(world: World, customer: Row, tmp_path: Path) -> None:
    file = await saved(world, tmp_path)
    await uncouple(world.session, "CUSTOMER", [customer["number"]])
    assert f"CUSTOMER {customer['number']}: not coupled any more" in await refused(world, file)


async def test_a_partner_was_made_meanwhile(world: World, customer: Row, tmp_path: Path) -> None:
    other = await world.bob.create("customers", displayName="Fabrikam")
    file = await saved(world, tmp_path, create=True)
    await world.sync(records=(other["number"],), create=True)
    assert f"CUSTOMER {other['number']}: there is nothing to do any more" in await refused(world, file)


async def test_the_mapping_was_edited(world: World, customer: Row, tmp_path: Path) -> None:
    file = await saved(world, tmp_path)
    world.change_field("website", enabled=False)
    assert "mapping CUSTOMER is not the one that the plan was made with" in await refused(world, file)


async def test_brakes_count_what_it_takes_apart(world: World, tmp_path: Path) -> None:
    world.change(deletions="uncouple")
    made = [await world.bob.create("customers", displayName=f"Customer {n}") for n in range(5)]
    await world.sync(create=True)
    for customer in made[:4]:
        await world.alice.delete("accounts", customer["id"])
    path = await saved(world, tmp_path)
    world.session.brakes = Brakes(changes_from=2)
    with pytest.raises(BrakeError, match="would change 4 of 5 coupled records"):
        [_ async for _ in apply_plan(world.session, read_plan(path))]
    [done] = [one async for one in apply_plan(world.session, read_plan(path), force=True)]
    assert done.result is not None
    assert done.result.counts["uncoupled"] == 4
