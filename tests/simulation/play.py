"""One seed: a world, people, runs, trouble, and what must hold after each epoch."""

from __future__ import annotations

import logging
import random
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock
from uuid import UUID

from world import COMPANION, World, new_world

from koppel.sandbox.business_central import work
from koppel.sandbox.clock import Clock
from koppel.sandbox.dataverse import service
from koppel.sandbox.server import Sandbox
from koppel.store import conflicts, failures
from koppel.store.database import Database
from koppel.sync.prepare import SIDES
from koppel.sync.recover import UNDECIDED

from .checks import BrokenError, Checks
from .mappings import mapping_files
from .people import People
from .trouble import troubled_run

log = logging.getLogger(__name__)

EPOCHS = 2
ROUNDS = 3
"""Runs after which everything is in step: what waited for references and what was recovered takes one more each."""


class SteadyClock(Clock):
    """The time of both systems: it begins now, and only moves when it is looked at, or told to."""

    def __init__(self) -> None:
        super().__init__()
        self._now = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        """The time now."""
        self._now += timedelta(milliseconds=1)
        return self._now + self._ahead


async def play(database: Database, seed: int) -> None:
    """Play one seed; ``BrokenError`` tells what does not hold."""
    dice = random.Random(seed)
    files = mapping_files(dice)
    with _repeatable(seed), tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text)
        route = dice.choice((COMPANION, "v2.0"))
        async with new_world(database, route=route, folders=[Path(folder)], clock=SteadyClock()) as world:
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
    clock, skews = sandbox.clock, [timedelta(seconds=dice.choice((0, dice.randint(-299, 299)))) for _ in SIDES]
    sandbox.business_central._clock = lambda: clock() + skews[0]
    sandbox.dataverse.clock = lambda: clock() + skews[1]


@contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    """Whatever is left to chance is decided by the seed."""
    ids = random.Random(seed)
    random.seed(seed)

    def new_id() -> UUID:
        return UUID(bytes=ids.randbytes(16), version=4)

    with (
        mock.patch.object(work, "urandom", ids.randbytes),
        mock.patch.object(service, "uuid4", new_id),
    ):
        yield


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
        log.info("%s", result)
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
