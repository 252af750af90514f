"""What records refer to is synchronised first, where its own mapping would (GEN-13)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from test_run_contacts import parent
from test_run_invoices import INVOICE, invoice, line, post
from world import World, new_world
from world_data import Row

from koppel.engine.action import Action
from koppel.mapping.model import Lookup
from koppel.sandbox.seed_business_central import COMPANY
from koppel.store import jobs
from koppel.store.database import Database
from koppel.store.locks import mapping_lock
from koppel.sync import along
from koppel.sync.request import Request
from koppel.sync.run import plan
from koppel.sync.saved import apply_plan, is_written, read_plan, save_plan, saved_action

CREATING = ("CUSTOMER", "VENDOR", "CONTACT")


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """Mappings that create what is new."""
    async with new_world(database) as world:
        await world.sync("CURRENCY", full=True)
        for name in CREATING:
            world.change(name, only_coupled=False)
        yield world


async def account(world: World, name: str, **values: object) -> Row:
    return await world.alice.create("accounts", {"name": name, "customertypecode": 3, **values})


async def contact(world: World, account: Row, lastname: str, **values: object) -> Row:
    return await world.alice.create("contacts", {"lastname": lastname, **parent(account["accountid"]), **values})


@pytest.mark.rule("GEN-13")
async def test_a_reference_that_nobody_knows_keeps_no_other_one_from_being_brought(world: World) -> None:
    gone, there = [await world.bob.create("customers", displayName=name) for name in ("Gone", "There")]
    post(world, "PS-1", gone, line("Freight", 100))
    post(world, "PS-2", there, line("Freight", 100))
    store = world.sandbox.business_central.companies[COMPANY].stores["customers"]
    store.remove(gone["id"], world.sandbox.business_central.stamp())
    result = await world.sync(INVOICE, full=True)
    assert (result.counts["created"], result.counts["failed"]) == (1, 1)
    assert await invoice(world, "PS-2")
    assert [failure.record_name for failure in await world.failures(INVOICE)] == ["PS-1"]


@pytest.mark.rule("GEN-13")
async def test_what_failed_for_another_reason_is_not_tried_twice_in_a_run(world: World) -> None:
    """A second time the same error would make it skipped."""
    there = await account(world, "There")
    await world.sync()
    await contact(world, there, "Wrong" + "g" * 30)  # Business Central takes 30 characters
    await contact(world, await account(world, "New"), "Right")
    result = await world.sync("CONTACT")
    assert (result.counts["created"], result.counts["failed"]) == (1, 1)
    [failure] = await world.failures("CONTACT")
    assert (failure.field, failure.attempts, failure.state) == ("surname", 1, "active")


@pytest.mark.rule("GEN-13")
@pytest.mark.rule("CONT-03")
async def test_people_of_vendors_bring_their_vendor(world: World) -> None:
    vendor = await account(world, "Litware", customertypecode=11)
    await contact(world, vendor, "Lee")
    assert (await world.sync("CONTACT")).counts["created"] == 1
    person = await world.bob.one("contacts", "surname eq 'Lee'")
    assert (await world.bob.one("contacts", f"number eq '{person['companyNumber']}'"))["displayName"] == "Litware"
    for name in ("CUSTOMER", "VENDOR"):
        await world.sync(name)
    await world.quiet("CUSTOMER", "VENDOR", "CONTACT")


@pytest.mark.rule("CONT-03")
async def test_the_coupling_of_a_vendor_wakes_its_people(world: World) -> None:
    world.change("CONTACT", brings=())
    vendor = await account(world, "Litware", customertypecode=11)
    await contact(world, vendor, "Lee")
    assert (await world.sync("CONTACT")).counts["failed"] == 1
    await world.sync("VENDOR")
    assert (await world.sync("CONTACT")).counts["created"] == 1
    assert await world.failures("CONTACT") == []


@pytest.mark.rule("GEN-13")
async def test_a_plan_shows_what_would_be_synchronised_first(world: World) -> None:
    new = await account(world, "New")
    await contact(world, new, "Right")
    await contact(world, new, "Also")
    await contact(world, await account(world, "Rival", customertypecode=1), "Left")
    actions = [action async for action in plan(world.session, "CONTACT")]
    assert [(action.mapping, action.kind) for action in actions] == [("CUSTOMER", "create"), *[("CONTACT", "hold")] * 3]
    told = {action.name: action.refusal.remedy for action in actions if action.refusal}
    assert told["Right"] == told["Also"] == "the run synchronises New in CUSTOMER first"
    assert told["Left"].startswith("couple or synchronise")
    assert await world.couplings() == []
    assert await world.bob.rows("customers") == []


@pytest.mark.rule("GEN-13")
async def test_a_plan_of_several_mappings_shows_it_once(world: World) -> None:
    await contact(world, await account(world, "New"), "Lee")
    for names in (["CUSTOMER", "CONTACT"], ["CONTACT", "CUSTOMER"]):
        found = [(name, [a.mapping async for a in planned]) async for name, planned in plans(world, names)]
        assert sorted(mapping for _, actions in found for mapping in actions) == ["CONTACT", "CUSTOMER"]


def plans(world: World, names: list[str]) -> AsyncIterator[tuple[str, AsyncIterator[Action]]]:
    return along.plans(world.session, names, Request())


@pytest.mark.rule("GEN-13")
async def test_a_saved_plan_brings_along_what_it_shows(world: World, tmp_path: Path) -> None:
    await contact(world, await account(world, "New"), "Lee")
    actions = [saved_action(a) async for a in plan(world.session, "CONTACT") if is_written(a)]
    save_plan(tmp_path / "plan.json", world.session, ["CONTACT"], Request(), actions)
    done = [one async for one in apply_plan(world.session, read_plan(tmp_path / "plan.json"))]
    assert [(one.mapping, one.result and one.result.counts["created"]) for one in done] == [
        ("CUSTOMER", 1),
        ("CONTACT", 0),
    ]
    assert (await world.sync("CONTACT")).counts["created"] == 1


@pytest.mark.rule("GEN-13")
async def test_only_coupled_records_stay_alone(world: World) -> None:
    world.change("CUSTOMER", only_coupled=True)
    await contact(world, await account(world, "New"), "Lee")
    assert [action.kind async for action in plan(world.session, "CONTACT")] == ["hold"]
    assert (await world.sync("CONTACT")).counts["failed"] == 1
    assert await world.bob.rows("customers") == []


@pytest.mark.rule("GEN-13")
async def test_it_has_a_job_of_its_own(world: World) -> None:
    await contact(world, await account(world, "New"), "Lee")
    result = await world.sync("CONTACT")
    [part] = result.parts
    assert (part.mapping, part.counts["created"]) == ("CUSTOMER", 1)
    found = {job.mappings[0]: job for job in await jobs.recent(world.session.connection)}
    assert (found["CUSTOMER"].id, found["CUSTOMER"].status) == (part.job, "done")
    assert (found["CONTACT"].id, found["CONTACT"].status, found["CONTACT"].counters.get("failed")) == (
        result.job,
        "done",
        0,
    )


@pytest.mark.rule("GEN-13")
async def test_a_mapping_that_somebody_is_at_is_left_alone_and_told(world: World) -> None:
    await contact(world, await account(world, "New"), "Lee")
    async with world.database.connect() as other, mapping_lock(other, "CUSTOMER"):
        result = await world.sync("CONTACT")
    assert result.counts["failed"] == 1
    assert any("CUSTOMER was not brought along: CUSTOMER is held by" in line for line in result.notices)
    await world.sync()
    assert (await world.sync("CONTACT")).counts["created"] == 1


@pytest.mark.rule("GEN-13")
async def test_mappings_that_bring_each_other_come_to_an_end(world: World) -> None:
    world.change("CUSTOMER", brings=("CONTACT",))
    world.change_field("primaryContactNo", lookup=Lookup(mapping="CONTACT", required=True))
    new = await account(world, "New")
    lee = await contact(world, new, "Lee")
    primary = {"primarycontactid@odata.bind": f"/contacts({lee['contactid']})"}
    await world.alice.update("accounts", new["accountid"], primary)
    assert [action.mapping async for action in plan(world.session, "CUSTOMER")] == ["CONTACT", "CUSTOMER"]
    result = await world.sync()
    assert (result.counts["failed"], [part.counts["failed"] for part in result.parts]) == (1, [1])
    assert (await world.sync("CONTACT")).write_requests == 0
