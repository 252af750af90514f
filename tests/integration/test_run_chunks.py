"""Runs of several chunks: the next one is planned while one is on its way, and nothing gets mixed up."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest
from world import World, new_world
from world_data import Row

from koppel.errors import TransientError
from koppel.store import history
from koppel.store.database import Database
from koppel.sync import passes
from koppel.sync.chunk import plan_chunk
from koppel.sync.scope import Incoming, Planned, Scope
from koppel.sync.session import Session
from koppel.systems.transport import Request

CHUNK = 3
NUMBER = 10


@pytest.fixture
async def world(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with new_world(database) as world:
        await world.sync_all(full=True)
        monkeypatch.setattr(passes, "CHUNK", CHUNK)
        yield world


async def customers(world: World) -> list[Row]:
    return [await world.bob.create("customers", displayName=f"Customer {number}") for number in range(NUMBER)]


def creates(request: Request) -> bool:
    return request.url.endswith("CreateMultiple")


async def test_every_chunk_is_written_and_recorded(world: World) -> None:
    made = await customers(world)
    result = await world.sync(create=True)
    assert (result.counts["created"], result.write_requests) == (NUMBER, 4)
    assert {c.business_central_id for c in await world.couplings()} == {customer["id"] for customer in made}
    assert all(c.dataverse_version for c in await world.couplings())
    await world.quiet()


async def test_the_next_chunk_is_planned_before_the_one_before_is_answered(world: World) -> None:
    await customers(world)
    order: list[str] = []
    waited: list[int] = []

    async def before(number: int, request: Request) -> None:
        order.append("create" if creates(request) else "other")

    async def after(number: int, request: Request) -> None:
        if creates(request) and not waited:
            waited.append(number)
            while order.count("create") < 2:  # the first answer is held back until the second chunk is sent
                await world.sleep(0)

    world.line.before, world.line.after = before, after
    result = await world.sync(create=True)
    assert result.counts["created"] == NUMBER
    await world.quiet()


async def test_edits_made_meanwhile_are_merged_in_every_chunk(world: World) -> None:
    made = await customers(world)
    await world.sync(create=True)
    for customer in made:
        await world.bob.update("customers", customer["id"], phoneNumber="1")
    edited = False

    async def before(number: int, request: Request) -> None:
        nonlocal edited
        if not edited and b"PATCH" in request.body:
            edited = True
            for customer in made:
                account = (await world.coupling(customer["number"])).dataverse_id
                await world.alice.update("accounts", account, address1_city="Delft")

    world.line.before = before
    result = await world.sync(force=True)
    assert edited
    assert result.counts["failed"] == 0
    for customer in made:
        account, now = await world.account_of(customer), await world.bob.row("customers", customer["id"])
        assert (account["telephone1"], account["address1_city"]) == ("1", "Delft")
        assert (now["phoneNumber"], now["city"]) == ("1", "Delft")
    await world.quiet()


async def test_what_was_sent_is_recorded_when_the_next_chunk_cannot_be_planned(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await customers(world)
    planned = 0

    async def failing(session: Session, scope: Scope, incoming: Incoming) -> Planned:
        nonlocal planned
        planned += incoming.side == "business_central"
        if planned == 3:
            raise TransientError("the line is down")
        return await plan_chunk(session, scope, incoming)

    monkeypatch.setattr(passes, "plan_chunk", failing)
    with pytest.raises(TransientError, match="the line is down"):
        await world.sync(create=True)
    assert len(await world.couplings()) == 2 * CHUNK
    monkeypatch.setattr(passes, "plan_chunk", plan_chunk)
    assert (await world.sync(create=True)).counts["created"] == NUMBER - 2 * CHUNK
    await world.quiet()


FAIL = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the disk is full'; END $$;
CREATE TRIGGER fail BEFORE INSERT ON history FOR EACH ROW WHEN (NEW.record_name = 'C00002') EXECUTE FUNCTION fail()"""
MEND = "DROP TRIGGER fail ON history; DROP FUNCTION fail"


async def test_what_was_sent_is_recorded_when_the_chunk_before_cannot_be(world: World) -> None:
    made = await customers(world)
    connection = world.session.connection
    await connection.execute(FAIL)
    await connection.commit()
    with pytest.raises(psycopg.errors.RaiseException, match="the disk is full"):
        await world.sync(create=True)
    await connection.execute(MEND)
    await connection.commit()
    assert len(await world.couplings()) == CHUNK, "of the second one, not the first"
    await world.sync(create=True)
    found = await history.find(connection, mapping="CUSTOMER")
    created = [entry.record_id for entry in found if entry.action == "create"]
    assert sorted(created) == sorted(customer["id"] for customer in made)
    await world.quiet()
