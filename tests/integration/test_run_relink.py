"""References to records that have another partner now: restored ones, and those that were coupled anew."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from world import ADDRESS, COMPANION, CrashError, Person, World, new_world
from world_data import Row

from koppel.mapping.model import DeletionPolicy
from koppel.sandbox.custom import read_tables
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.tokens import BOB
from koppel.store.database import Database
from koppel.sync.couple import couple
from koppel.sync.request import Request
from koppel.sync.run import plan
from koppel.sync.uncouple import uncouple
from koppel.sync.undo import job_to_undo, undo
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
      customerId: {type: guid}
      partOf: {type: code, length: 20}
dataverse:
  - table: cr_machine
    set: cr_machines
    name: cr_name
    caption: Machine
    columns:
      cr_name: {length: 100, required: true}
      cr_serial: {length: 20}
      cr_owner: {type: lookup, to: account}
      cr_renter: {type: lookup, to: account}
      cr_partof: {type: lookup, to: cr_machine}
"""
MAPPING = """\
mapping: MACHINE
business_central: {table: contoso/app/v1.0/machines, key: number}
dataverse: {table: cr_machine, key: cr_serial, filter: statecode eq 0}
only_coupled: false
deletions: restore
depends_on: [CUSTOMER]
fields:
  - {business_central: number, dataverse: cr_serial, code: true}
  - {business_central: description, dataverse: cr_name}
  - {business_central: customerNumber, dataverse: cr_owner, code: true, lookup: {mapping: CUSTOMER}}
  - {business_central: customerId, dataverse: cr_renter, lookup: {mapping: CUSTOMER, by: id}}
  - {business_central: partOf, dataverse: cr_partof, code: true, lookup: {mapping: MACHINE}}
"""


@pytest.fixture(params=[COMPANION, "v2.0"])
async def world(request: pytest.FixtureRequest, database: Database, tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "tables.yml").write_text(TABLES, "utf-8")
    (mappings := tmp_path / "mappings").mkdir()
    (mappings / "machine.yaml").write_text(MAPPING, "utf-8")
    tables = read_tables(tmp_path / "tables.yml")
    async with new_world(database, route=request.param, folders=[mappings], tables=tables) as world:
        world.change_field("salespersonCode", enabled=False)
        world.change(only_coupled=False, deletions="restore", match=())
        yield world


def machinist(world: World) -> Person:
    """Bob, on the custom page."""
    company = world.sandbox.business_central.companies[COMPANY].id
    return Person(world.sandbox, BOB, f"{ADDRESS}/bc/v2.0/Production/api/contoso/app/v1.0/companies({company})/")


async def run(world: World, **request: bool) -> None:
    for name in ("CUSTOMER", "MACHINE"):
        await world.sync(name, **request)


async def start(world: World, number: int = 1) -> tuple[Row, list[Row]]:
    """An account whose customer has a number of its own, and machines that refer to it, all of it in step."""
    account = await world.alice.create("accounts", name="Adatum", customertypecode=3)
    await world.sync(full=True)
    customer = await world.customer_of(account)
    machines = [
        await machinist(world).create(
            "machines",
            number=f"M-{place}",
            description="Lathe",
            customerNumber=customer["number"],
            customerId=customer["id"],
        )
        for place in range(number)
    ]
    await world.sync("MACHINE", full=True)
    await world.quiet("CUSTOMER", "MACHINE")
    return account, machines


async def restored(world: World, account: Row) -> Row:
    """The customer of the account, deleted and made again by Koppel."""
    before = await world.customer_of(account)
    await world.bob.delete("customers", before["id"])
    await world.sync(full=True)
    after = await world.customer_of(account)
    assert after["number"] != before["number"]
    return after


async def on_both_sides(world: World, machine: Row) -> tuple[Row, Row]:
    ours = await machinist(world).row("machines", machine["id"])
    return ours, await world.alice.one("cr_machines", f"cr_serial eq '{machine['number']}'")


async def means(world: World, machine: Row, customer: Row) -> bool:
    """Whether the machine refers to the customer, by number and by id, and to its account."""
    ours, theirs = await on_both_sides(world, machine)
    account = (await world.account_of(customer))["accountid"]
    named = ours["customerNumber"], ours["customerId"]
    led = theirs["_cr_owner_value"], theirs["_cr_renter_value"]
    return named == (customer["number"], customer["id"]) and led == (account, account)


async def in_order(world: World) -> None:
    """Nothing is left to do, and nothing differs."""
    await world.quiet("CUSTOMER", "MACHINE")
    found = await verify(world.session, ["CUSTOMER", "MACHINE"])
    await world.session.connection.commit()
    assert (found.differences, found.orphans) == ([], [])


async def test_what_refers_to_a_restored_record_refers_to_the_new_one(world: World) -> None:
    account, [machine] = await start(world)
    customer = await restored(world, account)
    assert "update" in await world.planned("MACHINE")
    await world.sync("MACHINE")
    assert await means(world, machine, customer)
    await in_order(world)


async def test_the_preview_leaves_it_to_the_run(world: World) -> None:
    account, [machine] = await start(world)
    customer = await restored(world, account)
    [action] = [action async for action in plan(world.session, "MACHINE", Request()) if action.kind != "nothing"]
    assert action.to_business_central["customerNumber"] == customer["number"]
    assert {change.why for change in action.changes} == {"what it refers to was coupled"}
    assert "update" in await world.planned("MACHINE", records=("M-0",))
    await world.sync("MACHINE", records=("M-0",))
    assert await means(world, machine, customer)
    await in_order(world)


async def test_many_of_them(world: World) -> None:
    account, machines = await start(world, 120)
    customer = await restored(world, account)
    result = await world.sync("MACHINE")
    assert result.counts["updated"] == len(machines)
    for machine in machines[::40]:
        assert await means(world, machine, customer)
    await in_order(world)


async def test_what_refers_to_others_is_left_alone(world: World) -> None:
    account, [machine] = await start(world)
    other = await world.bob.create("customers", displayName="Contoso")
    await world.sync()
    free = await machinist(world).create("machines", number="M-9", customerNumber=other["number"], description="Saw")
    await world.sync("MACHINE")
    customer = await restored(world, account)
    assert (await world.sync("MACHINE")).counts["updated"] == 1
    assert await means(world, machine, customer)
    assert (await machinist(world).row("machines", free["id"]))["customerNumber"] == other["number"]
    await in_order(world)


async def test_twice_before_they_are_looked_at(world: World) -> None:
    account, [machine] = await start(world)
    await restored(world, account)
    customer = await restored(world, account)
    await world.sync("MACHINE")
    assert await means(world, machine, customer)
    await in_order(world)


@pytest.mark.parametrize("policy", ["uncouple", "none"])
async def test_what_was_coupled_anew(world: World, policy: DeletionPolicy) -> None:
    world.change(deletions=policy)
    account, [machine] = await start(world)
    before = await world.customer_of(account)
    await world.bob.delete("customers", before["id"])
    await world.sync(full=True)
    if policy == "none":
        await uncouple(world.session, "CUSTOMER", [account["accountid"]])
    await world.sync("MACHINE")
    customer = await world.bob.create("customers", displayName="Adatum again")
    await couple(world.session, "CUSTOMER", customer["number"], account["accountid"], initial="business_central")
    await world.sync("MACHINE")
    assert await means(world, machine, customer)
    await in_order(world)


async def test_what_was_coupled_otherwise_by_hand(world: World) -> None:
    """The old customer is still there, and nobody's partner: the account tells which one is meant."""
    account, [machine] = await start(world)
    world.change(only_coupled=True)
    await uncouple(world.session, "CUSTOMER", [account["accountid"]])
    customer = await world.bob.create("customers", displayName="Adatum again")
    await couple(world.session, "CUSTOMER", customer["number"], account["accountid"])
    await world.sync("MACHINE")
    assert await means(world, machine, customer)
    await in_order(world)


async def test_partners_that_were_exchanged_by_hand(world: World) -> None:
    """Either side may be meant: the one that wins a first synchronisation is."""
    account, [machine] = await start(world)
    first = await world.customer_of(account)
    second = await world.bob.create("customers", displayName="Contoso")
    await world.sync()
    there = await world.account_of(second)
    for one in (account, there):
        await uncouple(world.session, "CUSTOMER", [one["accountid"]])
    await couple(world.session, "CUSTOMER", first["number"], there["accountid"])
    await couple(world.session, "CUSTOMER", second["number"], account["accountid"])
    await world.sync("MACHINE")
    assert await means(world, machine, first)
    await in_order(world)


async def test_coupled_again_as_it_was(world: World) -> None:
    account, [machine] = await start(world)
    customer = await world.customer_of(account)
    await uncouple(world.session, "CUSTOMER", [account["accountid"]])
    await couple(world.session, "CUSTOMER", customer["number"], account["accountid"])
    assert (await world.sync("MACHINE")).write_requests == 0
    assert await means(world, machine, customer)
    await in_order(world)


async def test_an_edit_of_the_stale_side_is_carried_over(world: World) -> None:
    account, [machine] = await start(world)
    other = await world.bob.create("customers", displayName="Contoso")
    await restored(world, account)
    await machinist(world).update("machines", machine["id"], customerNumber=other["number"], customerId=other["id"])
    await run(world)
    assert await means(world, machine, other)
    await in_order(world)


async def test_an_edit_of_the_leading_side_is_carried_over(world: World) -> None:
    account, [machine] = await start(world)
    other = await world.bob.create("customers", displayName="Contoso")
    await restored(world, account)
    there = await world.account_of(other)
    _, theirs = await on_both_sides(world, machine)
    bind = {f"{column}@odata.bind": f"/accounts({there['accountid']})" for column in ("cr_owner", "cr_renter")}
    await world.alice.update("cr_machines", theirs["cr_machineid"], bind)
    await run(world)
    assert await means(world, machine, other)
    await in_order(world)


async def test_edits_elsewhere_in_the_record_go_over_too(world: World) -> None:
    account, [machine] = await start(world)
    customer = await restored(world, account)
    _, theirs = await on_both_sides(world, machine)
    await machinist(world).update("machines", machine["id"], description="Lathe II")
    await world.sync("MACHINE")
    assert (await world.alice.row("cr_machines", theirs["cr_machineid"]))["cr_name"] == "Lathe II"
    assert await means(world, machine, customer)
    await in_order(world)


async def test_it_is_remembered_while_the_record_is_held(world: World) -> None:
    """A text that is too long holds the whole record; the reference follows once it was shortened."""
    account, [machine] = await start(world)
    customer = await restored(world, account)
    _, theirs = await on_both_sides(world, machine)
    await world.alice.update("cr_machines", theirs["cr_machineid"], cr_name="x" * 60)
    await run(world)
    assert len(await world.failures("MACHINE")) == 1
    await run(world)
    await run(world)
    assert not await means(world, machine, customer)
    await world.alice.update("cr_machines", theirs["cr_machineid"], cr_name="Lathe II")
    await world.sync("MACHINE")
    assert await means(world, machine, customer)
    await in_order(world)


async def test_it_is_remembered_while_the_record_is_outside_the_filter(world: World) -> None:
    account, [machine] = await start(world)
    _, theirs = await on_both_sides(world, machine)
    await world.alice.update("cr_machines", theirs["cr_machineid"], statecode=1)
    await world.sync("MACHINE")
    customer = await restored(world, account)
    await world.sync("MACHINE")
    await world.sync("MACHINE")
    await world.alice.update("cr_machines", theirs["cr_machineid"], statecode=0)
    await world.sync("MACHINE")
    assert await means(world, machine, customer)
    await in_order(world)


async def test_a_field_that_goes_the_other_way_is_left_alone(world: World) -> None:
    """Business Central leads, and what it names is gone: nothing may be written there."""
    world.change_field("customerNumber", name="MACHINE", direction="to_dataverse")
    account, [machine] = await start(world)
    number = (await on_both_sides(world, machine))[0]["customerNumber"]
    customer = await restored(world, account)
    await world.sync("MACHINE")
    ours, _ = await on_both_sides(world, machine)
    assert (ours["customerNumber"], ours["customerId"]) == (number, customer["id"])
    await world.quiet("MACHINE")


async def test_what_refers_to_a_record_that_is_gone_for_good_stays_as_it_is(world: World) -> None:
    """Its account is there, but neither side has another customer to name."""
    world.change(deletions="uncouple")
    account, [machine] = await start(world)
    await world.bob.delete("customers", (await world.customer_of(account))["id"])
    before = await on_both_sides(world, machine)
    await world.sync(full=True)
    assert await world.couplings() == []
    for full in (False, True):
        assert (await world.sync("MACHINE", full=full)).write_requests == 0
    assert await on_both_sides(world, machine) == before


async def test_a_record_that_refers_to_another_one_of_its_table(world: World) -> None:
    _, [machine] = await start(world)
    part = await machinist(world).create("machines", number="M-5", description="Chuck", partOf="M-0")
    await world.sync("MACHINE")
    await machinist(world).delete("machines", machine["id"])
    await world.sync("MACHINE", full=True)
    back = await machinist(world).one("machines", "number eq 'M-0'")
    assert back["id"] != machine["id"]
    assert (await machinist(world).row("machines", part["id"]))["partOf"] == "M-0"
    await in_order(world)


async def test_undone_it_comes_back(world: World) -> None:
    account, [machine] = await start(world)
    before, _ = await on_both_sides(world, machine)
    customer = await restored(world, account)
    job = (await world.sync("MACHINE")).job
    found = await job_to_undo(world.session, job)
    await undo(world.session, found)
    ours, _ = await on_both_sides(world, machine)
    assert ours["customerNumber"] == before["customerNumber"]
    await world.sync("MACHINE")
    assert await means(world, machine, customer)
    await in_order(world)


async def test_a_record_with_another_number(world: World) -> None:
    """Business Central renames what refers to a record in its own tables only."""
    account, [machine] = await start(world)
    customer = await world.customer_of(account)
    await world.bob.update("customers", customer["id"], number="RENAMED")
    await run(world)
    assert await means(world, machine, await world.customer_of(account))
    await in_order(world)


async def test_a_death_does_not_lose_it(world: World) -> None:
    """At whichever commit of the two runs the process dies."""
    account, [machine] = await start(world)
    for deadly in range(1, 60):
        before = await world.customer_of(account)
        await world.bob.delete("customers", before["id"])
        survived = await _dying_at(world, deadly)
        await run(world, full=True)
        await run(world)
        assert await means(world, machine, await world.customer_of(account)), deadly
        if survived:
            break
    else:
        raise AssertionError("the runs have more commits")
    await in_order(world)


async def _dying_at(world: World, deadly: int) -> bool:
    """Run, and die instead of making one commit; whether there were fewer."""
    connection, commits = world.session.connection, 0
    commit = connection.commit

    async def committing() -> None:
        nonlocal commits
        commits += 1
        if commits == deadly:
            world.crash()
        await commit()

    connection.commit = committing  # type: ignore[method-assign]
    try:
        await run(world, full=True)
    except CrashError:
        await world.revive()
        return False
    connection.commit = commit  # type: ignore[method-assign]
    return True
