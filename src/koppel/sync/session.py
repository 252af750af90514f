"""What every run works with: two open systems, the database, the mappings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import date
from typing import Protocol

import msgspec

from koppel.engine.action import Action
from koppel.engine.brakes import Brakes
from koppel.mapping.model import TableMapping
from koppel.odata.records import Scalar, Side
from koppel.store import locks, sent
from koppel.store.database import Connection
from koppel.sync.prepare import Ready, prepare
from koppel.sync.request import Request, Result
from koppel.systems.governor import Spent
from koppel.systems.system import System
from koppel.systems.tally import Tally

Progress = Callable[[str, str, int, int | None], None]
"""Called as (mapping, phase, done, total) while long work goes on; ``total`` is ``None`` when unknown."""


Rows = Mapping[tuple[Side, str], Mapping[Scalar, Mapping[str, Scalar]]]
"""Columns of rows by side, table and id."""


class Synchronise(Protocol):
    """Running one mapping (``run.synchronise``)."""

    async def __call__(self, session: Session, name: str, request: Request = ...) -> Result:
        """Run it."""


class Plan(Protocol):
    """Planning one mapping (``run.plan``)."""

    def __call__(self, session: Session, name: str, request: Request = ...) -> AsyncIterator[Action]:
        """Plan it."""


class Session(msgspec.Struct, kw_only=True):
    """An open session. ``job``: under which writes are recorded; ``tally``: what was sent for it; ``queue``: from which
    a worker took its work.

    ``warnings``: what each job of a mapping tells besides.
    ``portion``: of a run that another process leads, which this session is at.
    ``foreseen``: in a preview, the partners that would have been created by now, by mapping: Dataverse id by Business
    Central id; ``foreseen_rows``: what they would hold, by side, table and id. ``bringing``: mappings that bring along
    what they wait for, and those that are brought along.
    """

    systems: Mapping[Side, System]
    connection: Connection
    mappings: Mapping[str, TableMapping]
    today: Callable[[], date] = date.today
    brakes: Brakes = Brakes()
    warnings: Mapping[str, tuple[str, ...]] = {}
    job: int = 0
    queue: str = ""
    tally: Tally = msgspec.field(default_factory=Tally)
    portion: int = 0
    ready: dict[str, Ready] = {}
    setup_tables: dict[str, list[dict[str, object]]] = {}
    foreseen: dict[str, dict[Scalar, Scalar]] = {}
    foreseen_rows: Rows = {}
    bringing: frozenset[str] = frozenset()
    progress: Progress = lambda mapping, phase, done, total: None
    may_go_on: Callable[[], bool] = lambda: True


async def ready_mapping(session: Session, name: str) -> Ready:
    """The mapping of this name, bound to both systems; kept for the session."""
    if name not in session.ready:
        session.ready[name] = await prepare(session.mappings[name], session.systems, parts_of(session.mappings, name))
    return session.ready[name]


def parts_of(mappings: Mapping[str, TableMapping], whole: str) -> list[str]:
    """The mappings whose records are parts of those of ``whole``, and that are on."""
    return [name for name, mapping in mappings.items() if mapping.part_of == whole and mapping.enabled]


def exchanged_parts(session: Session, whole: Ready) -> list[str]:
    """The mappings of parts that go both ways."""
    return [name for name in whole.parts if session.mappings[name].direction == "both"]


def wholes(mappings: Mapping[str, TableMapping], names: Sequence[str]) -> list[str]:
    """These mappings without those that go with another one of them (``part_of``)."""
    return [name for name in names if mappings[name].part_of not in names]


async def own_users(session: Session) -> dict[Side, frozenset[str]]:
    """The connections' own users, by side."""
    return {side: await system.own_users() for side, system in session.systems.items()}


async def share_limits(connection: Connection, systems: Mapping[Side, System]) -> None:
    """Leave to the other processes that may send to the systems now their share of the systems' limits."""
    processes = await locks.senders(connection)
    spent = {side: [(one.requests, one.seconds) for one in system.spent()] for side, system in systems.items()}
    others = await sent.exchange(connection, spent)
    for side, system in systems.items():
        users = range(len(spent[side]))
        system.share(processes, [Spent(*others.get((side, who), (0, 0.0))) for who in users])
