"""What was under way when a run died, and what happened to it before the next one: nothing is guessed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import msgspec
import pytest
from test_run_trouble import lose_answers, writes_to
from test_undo import phones, take_back
from world import COMPANION, CrashError, World, new_world
from world_data import Row

from koppel.store import history
from koppel.store.database import Database
from koppel.store.history import Entry
from koppel.sync.couple import couple
from koppel.sync.request import Request
from koppel.sync.run import plan
from koppel.sync.saved import apply_plan, is_written, read_plan, save_plan, saved_action
from koppel.sync.uncouple import uncouple
from koppel.systems.transport import Request as HttpRequest
from koppel.systems.transport import Response, Transport


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database, route=COMPANION) as world:
        yield world


@pytest.fixture
async def standard(database: Database) -> AsyncIterator[World]:
    """Where Business Central chooses the ids."""
    async with new_world(database, route="v2.0") as world:
        world.change_field("salespersonCode", enabled=False)
        yield world


async def die(world: World, when: str, system: str, run: Awaitable[object]) -> None:
    """A run that ends before or after it has written to a system."""

    async def crash(number: int, request: HttpRequest) -> None:
        if writes_to(world, request, system):
            world.crash()

    setattr(world.line, when, crash)
    with pytest.raises(CrashError):
        await run
    await world.revive()


async def told(world: World, *actions: str) -> list[Entry]:
    found = await history.find(world.session.connection)
    await world.session.connection.commit()
    return [entry for entry in found if entry.action in actions]


async def in_step(world: World) -> Row:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    await world.sync(full=True)
    return customer


# somebody looks while a run is at work


async def test_a_preview_meanwhile_does_not_hide_a_creation(standard: World) -> None:
    world = standard
    await world.alice.create("accounts", name="Adatum", customertypecode=3)

    async def look(number: int, request: HttpRequest) -> None:
        if writes_to(world, request, "bc"):
            world.line.before = None
            async with world.database.connect() as connection:
                seen = plan(world.new_session(connection), "CUSTOMER", Request(full=True))
                assert [action.kind async for action in seen] == ["create"]

    world.line.before = look
    await die(world, "after", "bc", world.sync(full=True))
    await world.sync(full=True)
    assert len(await world.bob.rows("customers")) == len(await world.couplings()) == 1
    await world.quiet("CUSTOMER")


# updates


async def test_an_edit_before_an_update_is_found_is_merged_with_what_was_written(world: World) -> None:
    customer = await in_step(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2", website="a.example")
    await die(world, "after", "dataverse", world.sync(full=True))
    await world.alice.update("accounts", customer["id"], telephone1="3")
    await world.sync()
    assert await world.conflicts() == []
    assert await phones(world, customer) == ("3", "3")
    assert [(e.side, e.old, e.new) for e in await told(world, "update") if e.field == "phoneNumber"] == [
        ("business_central", "2", "3"),
        ("dataverse", "1", "2"),
    ]


async def test_an_edit_before_an_update_that_was_never_sent_is_contested(world: World) -> None:
    customer = await in_step(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    await die(world, "before", "dataverse", world.sync(full=True))
    await world.alice.update("accounts", customer["id"], telephone1="3")
    await world.sync()
    assert await phones(world, customer) == ("2", "3")
    assert [conflict.field for conflict in await world.conflicts()] == ["phoneNumber"]


@pytest.mark.parametrize("trouble", ["death", "lost answer"])
async def test_an_undo_without_an_answer_is_no_edit(world: World, trouble: str) -> None:
    customer = await in_step(world)
    await world.alice.update("accounts", customer["id"], telephone1="2")
    job = (await world.sync()).job
    if trouble == "death":
        await die(world, "after", "bc", take_back(world, job))
    else:
        lose_answers(world, "bc")
        await take_back(world, job)
    assert await phones(world, customer) == ("1", "2")
    await world.sync()
    assert await phones(world, customer) == ("2", "2")
    assert [(e.side, e.old, e.new) for e in reversed(await told(world, "update"))] == [
        ("business_central", "1", "2"),
        ("business_central", "2", "1"),
        ("business_central", "1", "2"),
    ]
    await world.quiet("CUSTOMER")


# creations


async def test_what_was_there_before_is_not_taken_for_what_was_to_be_made(world: World) -> None:
    """It was a pair once, and taken apart: the one that is to be created has had its id for long."""
    world.change(match=(), direction="to_dataverse")
    customer = await in_step(world)
    await uncouple(world.session, "CUSTOMER", [customer["number"]])
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    before = len(await told(world, "create"))
    await die(world, "before", "dataverse", world.sync(full=True))
    await world.sync(full=True)
    assert await phones(world, customer) == ("2", "2")
    assert len(await told(world, "create")) == before


async def test_what_was_there_before_wins_nothing(world: World) -> None:
    world.change(match=())
    customer = await in_step(world)
    await uncouple(world.session, "CUSTOMER", [customer["number"]])
    await world.alice.update("accounts", customer["id"], telephone1="2")
    await die(world, "before", "bc", world.sync(full=True))
    await world.sync(full=True)
    assert await phones(world, customer) == ("2", "2")
    assert [entry.side for entry in await told(world, "create")] == ["dataverse"]


async def test_a_restored_record_is_not_restored_twice(standard: World) -> None:
    world = standard
    world.change(deletions="restore")
    account = await world.alice.create("accounts", name="Adatum", customertypecode=3)
    await world.sync(full=True)
    await die_restoring(world, account)
    await world.sync(full=True)
    assert len(await world.bob.rows("customers")) == len(await world.couplings()) == 1
    assert len(await told(world, "create")) == 2
    await world.quiet("CUSTOMER")


@pytest.mark.parametrize("policy", ["none", "uncouple", "delete"])
async def test_a_record_whose_source_was_deleted_meanwhile_does_not_bring_it_back(world: World, policy: str) -> None:
    world.change(deletions=policy)
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    await die(world, "after", "dataverse", world.sync(full=True))
    await world.bob.delete("customers", customer["id"])
    await world.sync(full=True)
    await world.sync()
    assert await world.bob.rows("customers") == []
    assert len(await world.alice.rows("accounts")) == (policy != "delete")
    assert len(await told(world, "create")) == 1


async def test_a_record_that_an_undo_brought_back_alone_is_told(world: World) -> None:
    world.change(deletions="delete")
    customer = await in_step(world)
    await world.alice.delete("accounts", customer["id"])
    job = (await world.sync()).job
    await die(world, "after", "bc", take_back(world, job))
    undo = (await take_back(world, job))[0].job
    assert [row["displayName"] for row in await world.bob.rows("customers")] == ["Adatum"]
    created = [entry for entry in await told(world, "create") if entry.side == "business_central"]
    assert len(created) == 1
    assert created[0].job < undo


async def die_restoring(world: World, account: Row) -> None:
    """An edit of the account shows that its customer is gone."""
    await world.bob.delete("customers", (await world.customer_of(account))["id"])
    await world.alice.update("accounts", account["accountid"], telephone1="2")
    await die(world, "after", "bc", world.sync())


async def test_where_it_cannot_be_told_a_record_is_not_restored_again(standard: World) -> None:
    world = standard
    world.change(deletions="restore")
    account = await world.alice.create("accounts", name="Adatum", customertypecode=3)
    await world.sync(full=True)
    await die_restoring(world, account)
    [restored] = await world.bob.rows("customers")
    await world.bob.update("customers", restored["id"], displayName="Renamed", phoneNumber="9")
    assert (await world.sync(full=True)).write_requests == 0
    assert len(await world.bob.rows("customers")) == 1
    assert {failure.code for failure in await world.failures()} == {"outcome-unknown"}


async def test_a_record_that_somebody_made_long_before_is_not_taken_for_it(world: World) -> None:
    """Somebody brought it in with the id that Koppel would give it."""
    world.change(match=(), direction="to_dataverse")
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    world.sandbox.clocks["dataverse"].ahead = -3600
    await world.alice.create("accounts", accountid=customer["id"], name="Adatum", customertypecode=3, telephone1="9")
    world.sandbox.clocks["dataverse"].ahead = 0
    await die(world, "before", "dataverse", world.sync(full=True))
    await world.sync(full=True)
    assert await phones(world, customer) == ("1", "1")
    assert await told(world, "create") == []


async def test_a_record_that_somebody_coupled_otherwise_meanwhile_stays_so(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    await die(world, "after", "dataverse", world.sync(full=True))
    other = await world.bob.create("customers", displayName="Adatum & Sons")
    await couple(world.session, "CUSTOMER", other["number"], customer["id"])
    await world.sync(full=True)
    pairs = {c.business_central_id: c.dataverse_id for c in await world.couplings()}
    assert pairs.pop(other["id"]) == customer["id"]
    assert pairs[customer["id"]] not in (customer["id"], other["id"])
    assert len(await world.alice.rows("accounts")) == 2
    await world.quiet("CUSTOMER")


async def test_a_deactivation_without_an_answer_is_told(world: World) -> None:
    inactive = {"statecode": 1, "statuscode": 2}
    there = msgspec.structs.replace(world.mappings["CUSTOMER"].dataverse, deactivate=inactive)
    world.change(left_filter="deactivate", dataverse=there)
    customer = await in_step(world)
    await world.bob.update("customers", customer["id"], blocked="All")
    await die(world, "after", "dataverse", world.sync(full=True))
    await world.sync()
    assert {e.field: (e.old, e.new) for e in await told(world, "update")} == {"statecode": (0, 1), "statuscode": (1, 2)}


class Breakdown:
    """A transport to a system that breaks down when it has carried out a write, and says no more of it than that."""

    def __init__(self, inner: Transport, answer: Response) -> None:
        self._inner = inner
        self._answer: Response | None = answer

    async def send(self, request: HttpRequest) -> Response:
        """Send one request."""
        answer, told = await self._inner.send(request), self._answer
        if told is None or request.method != "POST" or "/bc/" not in request.url or b'"POST"' not in request.body:
            return answer
        self._answer = None
        return told

    async def close(self) -> None:
        """Give back connections: there are none."""


@pytest.mark.parametrize("answer", [Response(500, {}, b"<html>oops</html>"), Response(200, {}, b'{"respon')])
async def test_an_answer_that_tells_nothing_is_none(standard: World, answer: Response) -> None:
    world = standard
    await world.alice.create("accounts", name="Adatum", customertypecode=3)
    world.line.inner = Breakdown(world.line.inner, answer)
    for _ in range(2):
        await world.sync(full=True)
    assert len(await world.bob.rows("customers")) == len(await world.couplings()) == 1
    assert await world.failures() == []


# a plan that is carried out


async def test_a_plan_tells_what_it_finds_created(world: World, tmp_path: Path) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    await die(world, "after", "dataverse", world.sync(full=True))
    request = Request(full=True)
    actions = [action async for action in plan(world.session, "CUSTOMER", request) if is_written(action)]
    path = tmp_path / "plan.json"
    save_plan(path, world.session, ["CUSTOMER"], request, [saved_action(action) for action in actions])
    [finished] = [one async for one in apply_plan(world.session, read_plan(path))]
    assert finished.error is None
    assert [(e.side, e.record_id) for e in await told(world, "create")] == [("dataverse", customer["id"])]
    assert len(await world.couplings()) == 1
