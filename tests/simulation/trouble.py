"""What goes wrong during a run: deaths, lost answers, busy systems, people who are faster, a second worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random

from world import CrashError, World

from koppel.errors import LockedError, TransientError
from koppel.odata.records import Side
from koppel.sandbox.business_central import Limits
from koppel.sandbox.faults import Faults, SystemFaults
from koppel.sync.request import Request
from koppel.sync.run import synchronise
from koppel.systems.transport import Request as HttpRequest

from .clockwork import clean_up
from .people import People

log = logging.getLogger(__name__)

Trouble = Callable[[World, People, Random], Awaitable[None]]


async def troubled_run(world: World, people: People, dice: Random) -> None:
    """A run of which nobody knows how it ends; afterwards, there is a session again, and nothing is in the way."""
    found: list[Trouble] = list(dict.fromkeys(dice.choices(TROUBLES, k=dice.choice((1, 1, 2)))))
    for trouble in found:
        await trouble(world, people, dice)
    every = people.office.names
    names = every if dice.random() < 0.5 else [dice.choice(every)]
    other = dice.choice(every) if dice.random() < 0.2 else ""
    full = dice.random() < 0.4
    log.info("run of %s in trouble: %s, other %s, full %s", names, [one.__name__ for one in found], other, full)
    try:
        for name in names:
            with suppress(TransientError):
                await _run(world, name, full, other)
    except CrashError:
        log.info("died")
        clean_up()
        await world.revive()
    clear(world)


def clear(world: World) -> None:
    """The trouble is over."""
    world.line.before = world.line.after = None
    vars(world.session.connection).pop("commit", None)
    world.sandbox.faults.set(Faults())
    world.sandbox.dataverse.limits.enforced = False
    world.sandbox.business_central.settings.limits = Limits()


async def _run(world: World, name: str, full: bool, other: str) -> None:
    """Run a mapping; if there is an ``other`` one, in a second worker on the same database at the same time."""
    if not other:
        await world.sync(name, full=full)
        return
    async with world.database.connect() as connection:
        worker = world.new_session(connection)
        ended = await asyncio.gather(
            world.sync(name, full=full), synchronise(worker, other, Request()), return_exceptions=True
        )
    errors = [error for error in ended if isinstance(error, BaseException)]
    for error in sorted(errors, key=lambda error: not isinstance(error, CrashError)):
        if not isinstance(error, LockedError | TransientError):
            raise error


async def _death(world: World, people: People, dice: Random) -> None:
    """The process dies early in a run: before or after a request, maybe its first write, or before a commit."""
    _die(world, dice, dice.randint(1, 10), 1)


async def _late_death(world: World, people: People, dice: Random) -> None:
    """The process dies late in a run, before or after a later write, too."""
    _die(world, dice, dice.randint(11, 30), dice.randint(2, 4))


def _die(world: World, dice: Random, number: int, write: int) -> None:
    """Let the process die at this request, at this write, or before this commit."""
    kind = dice.choice(("before", "after", "commit"))
    if kind == "commit":
        connection, commits, commit = world.session.connection, 0, world.session.connection.commit

        async def committing() -> None:
            nonlocal commits
            commits += 1
            if commits == number:
                world.crash()
            await commit()

        connection.commit = committing  # type: ignore[method-assign]
        return
    writes_only = dice.random() < 0.5
    left = write if writes_only else number

    async def die(at: int, request: HttpRequest) -> None:
        nonlocal left
        left -= not writes_only or writes(request)
        if left <= 0:
            world.crash()

    _add(world, kind, die)


async def _faults(world: World, people: People, dice: Random) -> None:
    """One answer in ten is a 503, one in ten never comes."""
    faults = SystemFaults(unavailable=dice.choice((0, 0.1)), lost=dice.choice((0, 0.1, 0.3)))
    seed = dice.randint(0, 1_000_000)
    world.sandbox.faults.set(Faults(seed=seed, dataverse=faults, business_central=faults))


async def _throttling(world: World, people: People, dice: Random) -> None:
    """Both systems allow few requests."""
    world.sandbox.dataverse.limits.enforced = True
    world.sandbox.dataverse.limits.requests = 8
    world.sandbox.dataverse.limits.window = 10
    world.sandbox.business_central.settings.limits = Limits(requests=6, window=0.01)


async def _rivals(world: World, people: People, dice: Random) -> None:
    """Somebody edits a record while Koppel's update of it is on its way."""

    async def edit(number: int, request: HttpRequest) -> None:
        if b"PATCH" in request.body and dice.random() < 0.7:
            side: Side = "business_central" if "/bc/" in request.url else "dataverse"
            found = [(desk, row) for desk, id, row in people.seen(side) if id.encode() in request.body]
            if found:
                desk, row = dice.choice(found)
                people.edit(desk, side, row)

    _add(world, "before", edit)


async def _faster_people(world: World, people: People, dice: Random) -> None:
    """People go on working while Koppel does."""

    async def act(number: int, request: HttpRequest) -> None:
        if dice.random() < 0.15:
            people.act()

    _add(world, dice.choice(("before", "after")), act)


def writes(request: HttpRequest) -> bool:
    """Whether a request creates or changes something."""
    return any(word in request.body for word in (b"PATCH", b"Targets", b"POST"))


def _add(world: World, when: str, what: Callable[[int, HttpRequest], Awaitable[None]]) -> None:
    first = getattr(world.line, when)

    async def both(number: int, request: HttpRequest) -> None:
        if first is not None:
            await first(number, request)
        await what(number, request)

    setattr(world.line, when, both)


TROUBLES: tuple[Trouble, ...] = (_death, _death, _late_death, _faults, _throttling, _faster_people, _rivals)
