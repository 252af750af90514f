"""Queues as people see them: which mappings wait in each, and who serves it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from koppel.mapping.model import TableMapping
from koppel.store import schedules, workers
from koppel.store.database import Connection


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """``mappings`` that run by themselves and wait here, and how many living ``workers`` take them."""

    queue: str
    mappings: tuple[str, ...]
    workers: int


async def queues(connection: Connection, mappings: Mapping[str, TableMapping]) -> list[Queue]:
    """Every queue in which a mapping waits that is not on hold, or that a worker was told to serve."""
    alive = await workers.alive(connection)
    waiting: dict[str, list[str]] = {name: [] for worker in alive for name in worker.queues or ()}
    for name, entry in (await schedules.entries(connection)).items():
        if name in mappings and entry.state in ("ready", "inactive"):
            waiting.setdefault(schedules.queue_of(mappings[name], entry), []).append(name)
    return [
        Queue(queue=name, mappings=tuple(some), workers=sum(worker.serves(name) for worker in alive))
        for name, some in sorted(waiting.items())
    ]


def is_lonely(queue: Queue) -> bool:
    """Whether something waits there and no living worker takes it."""
    return bool(queue.mappings) and not queue.workers


async def unserved(connection: Connection, mappings: Mapping[str, TableMapping]) -> list[Queue]:
    """Those from which no living worker takes what waits."""
    return [one for one in await queues(connection, mappings) if is_lonely(one)]
