"""What rules write beside the records of a mapping, and codes and options: told without an answer, and taken back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable

import pytest
from test_undo import previewed, take_back
from world import CrashError, World, new_world
from world_data import Row

from koppel.store import history, intents
from koppel.store.database import Database
from koppel.store.history import Entry
from koppel.systems.transport import Request, no_answer

UNITS = "UNIT OF MEASURE"


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


def renames(request: Request) -> bool:
    return b"PATCH" in request.body and b"/uoms(" in request.body


async def die(world: World, when: str, run: Awaitable[object]) -> int:
    """A run that ends before or after it has renamed a unit; its job."""

    async def crash(number: int, request: Request) -> None:
        if renames(request):
            world.crash()

    setattr(world.line, when, crash)
    with pytest.raises(CrashError):
        await run
    job = world.session.job
    await world.revive()
    return job


async def told(world: World, mapping: str = UNITS) -> list[Entry]:
    """What history tells of writes, the first one first; not of couplings."""
    found = await history.find(world.session.connection, mapping=mapping)
    await world.session.connection.commit()
    return [entry for entry in reversed(found) if entry.action not in ("couple", "uncouple")]


async def renamed(world: World) -> list[Entry]:
    return [entry for entry in await told(world) if entry.table_name == "uom"]


async def carton(world: World) -> Row:
    """A group that is there already, and whose unit is to be named like its code."""
    return await world.alice.create("uomschedules", name="NAV BOX", baseuomname="carton")


async def unit_of(world: World, group: Row) -> str:
    [unit] = await world.alice.rows("uoms", f"_uomscheduleid_value eq {group['uomscheduleid']}")
    return str(unit["name"])


async def test_a_crash_behind_a_renamed_unit_is_told(world: World) -> None:
    group = await carton(world)
    job = await die(world, "after", world.sync(UNITS, full=True))
    await world.sync(UNITS, full=True)
    [entry] = await renamed(world)
    assert (entry.job, entry.old, entry.new) == (job, "carton", "BOX")
    assert entry.why.endswith("(UOM-06), without an answer")
    assert await intents.unsettled(world.session.connection, UNITS) == []
    assert await unit_of(world, group) == "BOX"


async def test_a_crash_in_front_of_it_is_not(world: World) -> None:
    await carton(world)
    await die(world, "before", world.sync(UNITS, full=True))
    result = await world.sync(UNITS, full=True)
    assert [(entry.job, entry.new) for entry in await renamed(world)] == [(result.job, "BOX")]


async def test_an_answer_that_got_lost_is_told_once(world: World) -> None:
    await carton(world)
    lost: list[str] = []

    async def lose(number: int, request: Request) -> None:
        if renames(request) and not lost:
            lost.append(request.url)
            raise no_answer(request, "lost by a test")

    world.line.after = lose
    await world.sync(UNITS, full=True)
    await world.sync(UNITS, full=True)
    assert [(entry.old, entry.new) for entry in await renamed(world)] == [("carton", "BOX")]
    assert await world.failures(UNITS) == []
    await world.quiet(UNITS)


async def test_it_is_taken_back(world: World) -> None:
    group = await carton(world)
    job = (await world.sync(UNITS, full=True)).job
    assert "update" in await previewed(world, job)
    assert await unit_of(world, group) == "BOX"
    undone, left = await take_back(world, job)
    assert (await unit_of(world, group), left) == ("carton", [])
    await take_back(world, undone.job)
    assert await unit_of(world, group) == "BOX"


async def test_after_a_crash_too(world: World) -> None:
    group = await carton(world)
    job = await die(world, "after", world.sync(UNITS, full=True))
    await take_back(world, job)
    assert await unit_of(world, group) == "carton"


@pytest.mark.parametrize("who", ["alice", "a later job"])
async def test_what_somebody_changed_since_stays(world: World, who: str) -> None:
    group = await carton(world)
    job = (await world.sync(UNITS, full=True)).job
    [unit] = await world.alice.rows("uoms", f"_uomscheduleid_value eq {group['uomscheduleid']}")
    await world.alice.update("uoms", unit["uomid"], name="crate")
    later = (await world.sync(UNITS, full=True)).job if who != "alice" else 0
    _, left = await take_back(world, job)
    expected = "somebody changed it since" if who == "alice" else f"job {later} wrote it since"
    assert left == [f"name: {expected}"]
    assert await unit_of(world, group) == ("crate" if who == "alice" else "BOX")


async def test_rows_that_a_rule_made_stay(world: World) -> None:
    for name in ("CURRENCY", UNITS):
        await world.sync(name, full=True)
    await world.bob.create("items", number="BK-1", displayName="Road Bike", baseUnitOfMeasureCode="PCS", unitPrice=9)
    job = (await world.sync("ITEM-PRODUCT", full=True)).job
    rows = {entry.table_name for entry in await told(world, "ITEM-PRODUCT") if entry.action == "create"}
    assert rows >= {"pricelevel", ""}
    _, left = await take_back(world, job)
    assert "record: other records may refer to it" in left
    assert len(await world.alice.rows("pricelevels")) == 1


# codes and options


async def test_an_option_that_was_added_without_an_answer_is_told(world: World) -> None:
    async def crash(number: int, request: Request) -> None:
        if "InsertOptionValue" in request.url:
            world.crash()

    world.line.after = crash
    with pytest.raises(CrashError):
        await world.sync("PAYMENT TERMS")
    job = world.session.job
    await world.revive()
    await world.sync("PAYMENT TERMS")
    made = [(entry.job, entry.new) for entry in await told(world, "PAYMENT TERMS")]
    assert made[0] == (job, "COD")
    assert len(made) == len({new for _, new in made})
    assert await intents.unsettled(world.session.connection, "PAYMENT TERMS") == []


async def test_an_option_that_was_renamed_without_an_answer_is_told(world: World) -> None:
    await world.sync("PAYMENT TERMS")
    terms = await world.bob.one("paymentTerms", "code eq 'COD'")
    await world.bob.update("paymentTerms", terms["id"], code="CASH")

    async def crash(number: int, request: Request) -> None:
        if "UpdateOptionValue" in request.url:
            world.crash()

    world.line.after = crash
    with pytest.raises(CrashError):
        await world.sync("PAYMENT TERMS")
    job = world.session.job
    await world.revive()
    await world.sync("PAYMENT TERMS")
    [entry] = [entry for entry in await told(world, "PAYMENT TERMS") if entry.action == "update"]
    assert (entry.job, entry.old, entry.new) == (job, "COD", "CASH")
