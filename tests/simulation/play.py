"""One seed: a world, people, runs, trouble, and what must hold after each epoch."""

from __future__ import annotations

import logging
import random
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path

import msgspec
from world import COMPANION, World, new_world

from koppel.sandbox.clock import Clock
from koppel.sandbox.server import Sandbox
from koppel.store import conflicts, failures
from koppel.store.database import Database
from koppel.sync.prepare import SIDES
from koppel.sync.request import Result

from .checks import BrokenError, Checks
from .clockwork import SteadyClock, run
from .desks import TABLES
from .mappings import ORDER, cast_of, mapping_files
from .people import People
from .trouble import troubled_run

log = logging.getLogger(__name__)

ROUTES = (COMPANION, "v2.0")
EPOCHS = 2
ROUNDS = 3
"""Runs after which everything is in step: what waited for references and what was recovered takes one more each."""


def play(database: Database, seed: int) -> None:
    """Play one seed; ``BrokenError`` tells what does not hold."""
    _know_schemas(database)
    clock = SteadyClock()
    run(clock, seed, _play(database, seed, clock))


def story(database: Database, seed: int) -> list[str]:
    """Play one seed; everything that happened, line by line, down to each request and its answer."""
    _know_schemas(database)
    with _listening() as lines:
        try:
            play(database, seed)
        except Exception as error:
            lines.append(f"{type(error).__name__}: {error}")
    return lines


@contextmanager
def _listening() -> Iterator[list[str]]:
    """What the simulation and the world log meanwhile."""
    lines: list[str] = []
    listener = logging.Handler()
    listener.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    before = [(logger, logger.level) for logger in map(logging.getLogger, (__package__, "world"))]
    for logger, _ in before:
        logger.setLevel(logging.DEBUG)
        logger.addHandler(listener)
    try:
        yield lines
    finally:
        for logger, level in before:
            logger.removeHandler(listener)
            logger.setLevel(level)


@cache
def _know_schemas(database: Database) -> None:
    """Worlds remember what tables look like: no seed is the first to ask."""

    async def ask() -> None:
        for route in ROUTES:
            async with _world(database, route, mapping_files(random.Random(0), set(ORDER)), SteadyClock()):
                pass

    run(SteadyClock(), 0, ask())


@asynccontextmanager
async def _world(database: Database, route: str, files: Mapping[str, str], clock: Clock) -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            (Path(folder) / f"{name}.yaml").write_text(text)
        async with new_world(database, route=route, folders=[Path(folder)], clock=clock, tables=TABLES) as world:
            yield world


async def _play(database: Database, seed: int, clock: Clock) -> None:
    dice = random.Random(seed)
    route = dice.choice(ROUTES)
    files = mapping_files(dice, cast_of(dice, route))
    async with _world(database, route, files, clock) as world:
        _set_apart(world.sandbox, dice)
        people = People(world, dice, list(files))
        try:
            await _epochs(world, people, dice)
        except BaseException as error:
            error.add_note("\n".join((*files.values(), f"make simulate SEED={seed}")))
            raise
        finally:
            await world.forget()


def _set_apart(sandbox: Sandbox, dice: random.Random) -> None:
    """The clocks of both systems go wrong by up to five minutes, each its own way."""
    for clock in sandbox.clocks.values():
        clock.ahead = dice.choice((0, dice.randint(-299, 299)))


async def _epochs(world: World, people: People, dice: random.Random) -> None:
    checks = Checks(world, people)
    for epoch in range(EPOCHS):
        people.epoch = epoch
        world.sandbox.clock.advance(dice.choice((0, 1_000)))
        deleted = people.deletions("business_central")
        desks = len(people.office.desks)
        for _ in range(dice.randint(2, 3 + 4 * desks)):
            people.act()
        for _ in range(dice.randint(0, 3)):
            await troubled_run(world, people, dice)
            for _ in range(dice.randint(0, 2 * desks)):
                people.act()
        # Business Central tells of deletions to those who read everything.
        await _settle(world, people, full=dice.random() < 0.2 or people.deletions("business_central") > deleted)
        await checks.check()
        await _decide(world, checks, dice)
        await _settle(world, people, full=await _tidy_up(world, checks))
        await checks.check()


async def _settle(world: World, people: People, *, full: bool) -> None:
    log.info("to rest, full %s", full)
    for _ in range(ROUNDS):
        if not await _run_all(world, people, full=full):
            break
        full = False
    if written := await _run_all(world, people):
        raise BrokenError(f"it does not come to rest: {written}")


async def _run_all(world: World, people: People, *, full: bool = False) -> list[Result]:
    """Run every mapping, one after the other; the results of those that wrote."""
    results = [await world.sync(name, full=full) for name in people.office.names]
    for result in results:
        log.info("%s", msgspec.structs.replace(result, seconds=0))
    return [result for result in results if result.write_requests]


async def _tidy_up(world: World, checks: Checks) -> bool:
    """A person deletes what Koppel made and could not recognise any more, and lets it try again."""
    undecided = {name: books.undecided for name, books in checks.books.items() if books.undecided}
    for name, ids in undecided.items():
        desk = checks.office.desks[name]
        for side, id, _ in checks.alone(desk, checks.books[name]):
            checks.people.remove(desk, side, id)
        await failures.retry(world.session.connection, mapping=name, record_ids=ids)
    await world.session.connection.commit()
    return bool(undecided)


async def _decide(world: World, checks: Checks, dice: random.Random) -> None:
    """A person decides every conflict."""
    for name in checks.office.desks:
        for conflict in await world.conflicts(name):
            log.info("conflict: %s", conflict)
            await conflicts.decide(world.session.connection, dice.choice(SIDES), ids=[conflict.id])
            assert isinstance(conflict.business_central, Mapping)
            checks.losses.note_decided(name, conflict.business_central_id, conflict.business_central)
    await world.session.connection.commit()
