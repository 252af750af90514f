"""One seed: a world, people, runs, trouble, and what must hold after each epoch."""

from __future__ import annotations

import logging
import random
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import msgspec
from world import COMPANION, World, new_world

from koppel.sandbox.clock import Clock
from koppel.sandbox.server import Sandbox
from koppel.store import conflicts, failures
from koppel.store.database import Database
from koppel.sync.prepare import SIDES
from koppel.sync.recover import UNDECIDED

from .checks import BrokenError, Checks
from .clockwork import SteadyClock, run
from .mappings import mapping_files
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
            async with new_world(database, route=route):
                pass

    run(SteadyClock(), 0, ask())


async def _play(database: Database, seed: int, clock: Clock) -> None:
    dice = random.Random(seed)
    files = mapping_files(dice)
    route = dice.choice(ROUTES)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text)
        async with new_world(database, route=route, folders=[Path(folder)], clock=clock) as world:
            _set_apart(world.sandbox, dice)
            people = People(world, dice, world.mappings["CUSTOMER"])
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
        for _ in range(dice.randint(2, 7)):
            await people.act()
        for _ in range(dice.randint(0, 3)):
            await troubled_run(world, people, dice)
            for _ in range(dice.randint(0, 2)):
                await people.act()
        # Business Central tells of deletions to those who read everything.
        await _settle(world, full=dice.random() < 0.2 or people.deletions("business_central") > deleted)
        await checks.check()
        await _decide(world, checks, dice)
        await _settle(world, full=await _tidy_up(world, people))
        await checks.check()


async def _settle(world: World, *, full: bool) -> None:
    log.info("to rest, full %s", full)
    for _ in range(ROUNDS):
        result = await world.sync(full=full)
        full = False
        log.info("%s", msgspec.structs.replace(result, seconds=0))
        if not result.write_requests:
            break
    result = await world.sync()
    if result.write_requests:
        raise BrokenError(f"it does not come to rest: {result}")


async def _tidy_up(world: World, people: People) -> bool:
    """A person deletes what Koppel made and could not recognise any more, and lets it try again."""
    found = [failure for failure in await world.failures() if failure.code == UNDECIDED]
    for failure in found:
        if (failure.side, failure.record_id) not in people.made:
            await people.remove(failure.side, failure.record_id)
    await failures.retry(world.session.connection, mapping="CUSTOMER", record_ids=[f.record_id for f in found])
    await world.session.connection.commit()
    return bool(found)


async def _decide(world: World, checks: Checks, dice: random.Random) -> None:
    """A person decides every conflict."""
    for conflict in await world.conflicts():
        log.info("conflict: %s", conflict)
        winner = dice.choice(SIDES)
        await conflicts.decide(world.session.connection, winner, ids=[conflict.id])
        epoch = checks.people.epoch
        assert isinstance(conflict.business_central, Mapping)
        checks.decided |= {(conflict.business_central_id, name, epoch) for name in conflict.business_central}
    await world.session.connection.commit()
