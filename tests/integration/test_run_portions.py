"""Runs in which other workers have a hand: they come to the same as alone, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress

import psycopg
import pytest
from world import COMPANION, CrashError, World, new_world
from world_state import State, differences, state_of

from koppel.errors import LockedError, StoppedError, StoreError
from koppel.store import intents, jobs, locks, portions
from koppel.store.database import Database
from koppel.sync import hand, passes, spread
from koppel.sync.hand import lend_a_hand
from koppel.sync.request import Result
from koppel.sync.spread import identities
from koppel.sync.undo import undo
from koppel.sync.verify import verify
from koppel.systems.transport import Request as HttpRequest

CUSTOMERS = 40
BEFORE = ("SALESPEOPLE", "CURRENCY", "PAYMENT TERMS", "SHIPMENT METHOD", "SHIPPING AGENT")


@pytest.fixture(autouse=True)
def _small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of a few records, and two sessions of one process that take each other for two processes."""
    monkeypatch.setattr(passes, "CHUNK", 5)
    monkeypatch.setattr(spread, "LEAST", 1)
    monkeypatch.setattr(portions, "OFFERED", portions.OFFERED.replace(f"split.leader <> {locks.PROCESS} AND", ""))
    monkeypatch.setattr(portions, "HANDS", portions.HANDS.replace(f"objid <> {locks.PROCESS}::oid", "true"))


@asynccontextmanager
async def two_workers(database: Database) -> AsyncIterator[tuple[World, World]]:
    """A world, and another way into it; what customers refer to is there on both sides."""
    async with new_world(database, customers=CUSTOMERS) as leader:
        for name in BEFORE:
            await leader.sync(name, full=True)
        helper = World(leader.sandbox, database, COMPANION, leader.mappings, leader.known)
        await helper.open()
        await portions.be_ready(helper.session.connection)
        try:
            yield leader, helper
        finally:
            await helper.close()


async def helped(run: Awaitable[Result], helper: World) -> tuple[Result, int]:
    """A run with the helper at its side; how many portions were done there."""
    running, did = asyncio.ensure_future(run), 0
    while not running.done():
        did += await lend_a_hand(helper.session, identities(helper.session.mappings))
        await asyncio.sleep(0.01)
    return await running, did


_UNDISTURBED: list[tuple[State, Result]] = []


async def undisturbed(database: Database) -> tuple[State, Result]:
    """What a run of one worker comes to; found out once."""
    if not _UNDISTURBED:
        _UNDISTURBED.append(await _run_alone(database))
    return _UNDISTURBED[0]


async def _run_alone(database: Database) -> tuple[State, Result]:
    async with new_world(database, customers=CUSTOMERS) as world:
        for name in BEFORE:
            await world.sync(name, full=True)
        result = await world.sync(full=True)
        state = state_of(world)
        await world.forget()
        return state, result


async def as_if_nothing_had_happened(world: World, expected: State) -> None:
    """Both systems are as after a run of one worker, nothing is left open, nothing is left to do."""
    assert not differences(expected, state_of(world))
    assert await intents.unsettled(world.session.connection, "CUSTOMER") == []
    await world.quiet("CUSTOMER")
    assert (await verify(world.session, ["CUSTOMER"])).sound


async def test_it_comes_to_the_same(database: Database) -> None:
    expected, alone = await undisturbed(database)
    async with two_workers(database) as (leader, helper):
        sent = len(leader.line.requests)
        result, did = await helped(leader.sync(full=True), helper)
        assert did >= 2
        assert f"other workers did {did} of its portions" in result.notices
        assert +result.counts == +alone.counts
        job = await jobs.get(leader.session.connection, result.job)
        assert job is not None
        assert {name: number for name, number in job.counters.items() if number} == +result.counts
        assert job.requests == sum(result.requests.values()) > len(leader.line.requests) - sent
        assert {one.job for one in await leader.couplings()} == {result.job}
        await as_if_nothing_had_happened(leader, expected)
        assert await portions.left(leader.session.connection, result.job) == 0


async def test_it_is_taken_back_as_a_whole(database: Database) -> None:
    async with two_workers(database) as (leader, helper):
        accounts = len(leader.sandbox.dataverse.tables["account"].rows)
        result, did = await helped(leader.sync(full=True), helper)
        job = await jobs.get(leader.session.connection, result.job)
        assert did
        assert job is not None
        await undo(leader.session, job, force=True)
        assert len(leader.sandbox.dataverse.tables["account"].rows) == accounts


class Death:
    """Lets a world's process die at one of its writes, before it is sent or after it was carried out."""

    def __init__(self, world: World, deadly: int, *, after: bool) -> None:
        self._world, self._left = world, deadly
        if after:
            world.line.after = self._look_out
        else:
            world.line.before = self._look_out

    async def _look_out(self, number: int, request: HttpRequest) -> None:
        if request.method == "POST":
            self._left -= 1
            if not self._left:
                self._world.crash()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("deadly", [1, 2, 3])
async def test_a_helper_dies(database: Database, deadly: int, after: bool) -> None:
    expected, alone = await undisturbed(database)
    async with two_workers(database) as (leader, helper):
        Death(helper, deadly, after=after)
        died = asyncio.Event()

        async def live() -> None:
            try:
                await lend_a_hand(helper.session, identities(helper.session.mappings))
            except CrashError:
                died.set()

        async def wait(number: int, request: HttpRequest) -> None:
            if request.method == "POST":  # else the leader, which is quick, might leave nothing to die at
                with suppress(TimeoutError):
                    await asyncio.wait_for(died.wait(), 0.3)

        leader.line.before = wait
        running = asyncio.ensure_future(leader.sync(full=True))
        while not running.done():
            if not died.is_set():
                await live()
            await asyncio.sleep(0.01)
        result = await running
        assert died.is_set()
        assert result.counts["created"] + result.counts["coupled"] <= alone.counts["created"] + alone.counts["coupled"]
        await as_if_nothing_had_happened(leader, expected)
        await helper.revive()


async def test_the_leader_dies(database: Database) -> None:
    expected, _ = await undisturbed(database)
    async with two_workers(database) as (leader, helper):
        busy, go_on = asyncio.Event(), asyncio.Event()

        async def hold(number: int, request: HttpRequest) -> None:
            if request.method == "POST" and "CreateMultiple" in request.url:
                busy.set()
                await go_on.wait()

        helper.line.before = hold
        running = asyncio.ensure_future(leader.sync(full=True))
        helping = asyncio.ensure_future(_help_on(helper, running))
        await asyncio.wait_for(busy.wait(), 60)
        with pytest.raises(CrashError):
            leader.crash()
        with pytest.raises((CrashError, StoreError, psycopg.OperationalError)):
            await running
        await leader.revive()
        with pytest.raises(LockedError, match="still in the hands of workers"):
            await leader.sync(full=True)
        go_on.set()
        with pytest.raises(LockedError, match="was ended by somebody else"):
            await helping
        await helper.reopen()
        await leader.sync(full=True)
        await as_if_nothing_had_happened(leader, expected)


async def _help_on(helper: World, running: asyncio.Future[Result]) -> None:
    while True:
        await lend_a_hand(helper.session, identities(helper.session.mappings))
        if running.done():
            return
        await asyncio.sleep(0.01)


async def test_what_a_helper_cannot_do_its_leader_does(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected, alone = await undisturbed(database)

    async def fail(*_: object) -> None:
        raise ValueError("not here")

    async with two_workers(database) as (leader, helper):
        monkeypatch.setattr(hand, "_do", fail)
        result, did = await helped(leader.sync(full=True), helper)
        assert (did, +result.counts) == (0, +alone.counts)
        assert "is left to its leader: ValueError('not here')" in caplog.text
        await as_if_nothing_had_happened(leader, expected)


async def test_nobody_helps_with_another_mapping_of_that_name(database: Database) -> None:
    expected, _ = await undisturbed(database)
    async with two_workers(database) as (leader, helper):
        helper.change(deletions="uncouple")
        _, did = await helped(leader.sync(full=True), helper)
        assert did == 0
        await as_if_nothing_had_happened(leader, expected)


async def test_a_run_that_is_stopped_waits_for_those_who_help(database: Database) -> None:
    expected, _ = await undisturbed(database)
    async with two_workers(database) as (leader, helper):
        helping = 0

        def go_on() -> bool:
            return not helping

        async def note(number: int, request: HttpRequest) -> None:
            nonlocal helping
            helping += "CreateMultiple" in request.url

        helper.line.before = note
        leader.session.may_go_on = go_on
        with pytest.raises(StoppedError):
            await helped(leader.sync(full=True), helper)
        assert helping
        await leader.reopen()
        assert await intents.unsettled(leader.session.connection, "CUSTOMER") == []
        made = len(await leader.couplings())
        assert 0 < made < CUSTOMERS
        await leader.sync(full=True)
        await as_if_nothing_had_happened(leader, expected)
