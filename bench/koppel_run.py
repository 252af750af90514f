"""Koppel in a process of its own, so that its memory and its time are its own: ``python -m bench.koppel_run``.

Reads an ``Order`` from standard input and prints one ``Finished`` a step, as JSON lines.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from bench.places import Place
from koppel.cli.running import run_to_end
from koppel.mapping.load import in_dependency_order
from koppel.mapping.model import QUEUE
from koppel.store import portions
from koppel.sync.open import open_session
from koppel.sync.prepare import Ready
from koppel.sync.request import Request
from koppel.sync.run import synchronise
from koppel.sync.session import Session, ready_mapping
from koppel.sync.uncouple import uncouple

Step = Literal["setup", "help", "full", "sync", "rows", "match"]
"""What the mapping depends on; waiting for three others that help; all its records; what changed; the accounts as
Microsoft's client would create them; uncoupling everything and coupling it again by matching."""


class Order(msgspec.Struct, frozen=True):
    """What to do with which mapping, where. ``folder`` holds the database, and gets ``rows.json``; ``parameters``
    of the mapping, where they are others than its file says."""

    place: Place
    folder: str
    steps: tuple[Step, ...]
    mapping: str = "CUSTOMER"
    parameters: dict[str, str] = {}


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """What a step came to, ``parts`` by their mapping. ``cpu``: seconds of this process; ``peak``: most memory so far,
    in bytes."""

    step: Step
    seconds: float
    counts: dict[str, int]
    parts: dict[str, dict[str, int]] = {}
    requests: dict[str, int]
    write_requests: int
    cpu: float
    peak: int


def run_koppel(
    place: Place,
    folder: Path,
    steps: Sequence[Step],
    mapping: str = "CUSTOMER",
    parameters: Mapping[str, str] = {},
) -> list[Finished]:
    """Run steps in a child process, in one session."""
    order = msgspec.json.encode(Order(place, str(folder), tuple(steps), mapping, dict(parameters)))
    child = subprocess.run([sys.executable, "-m", "bench.koppel_run"], input=order, stdout=subprocess.PIPE, check=True)
    return [msgspec.json.decode(line, type=Finished) for line in child.stdout.splitlines()]


def main() -> None:
    """Do what standard input says."""
    run_to_end(_work(msgspec.json.decode(sys.stdin.buffer.read(), type=Order)))


async def _work(order: Order) -> None:
    async with open_session(order.place.config(Path(order.folder))) as session:
        chosen = session.mappings[order.mapping]
        changed = msgspec.structs.replace(chosen, parameters={**chosen.parameters, **order.parameters})
        session.mappings = {**session.mappings, order.mapping: changed}
        for step in order.steps:
            await _step(session, order, step)


async def _step(session: Session, order: Order, step: Step) -> None:
    if step == "setup":
        await _set_up(session, order.mapping)
    elif step == "help":
        await _wait_for_help(session)
    elif step == "rows":
        await _write_rows(session, Path(order.folder) / "rows.json")
    else:
        if step == "match":
            await uncouple(session, order.mapping, everything=True)
        cpu = time.process_time()
        result = await synchronise(session, order.mapping, Request(full=step != "sync"))
        finished = Finished(
            step=step,
            seconds=result.seconds,
            counts=dict(result.counts),
            parts={part.mapping: dict(part.counts) for part in result.parts},
            requests=result.requests,
            write_requests=result.write_requests,
            cpu=time.process_time() - cpu,
            peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        )
        print(msgspec.json.encode(finished).decode(), flush=True)


async def _wait_for_help(session: Session) -> None:
    for _ in range(600):
        if await portions.hands(session.connection, QUEUE) >= 3:
            return
        await asyncio.sleep(0.1)


async def _set_up(session: Session, name: str) -> None:
    """What the mapping's records refer to, and the schema of both tables."""
    wanted = [*session.mappings[name].depends_on]
    for found in wanted:
        wanted += [further for further in session.mappings[found].depends_on if further not in wanted]
    for mapping in in_dependency_order(session.mappings.values()):
        if mapping.name in wanted:
            await synchronise(session, mapping.name, Request(full=True))
    await ready_mapping(session, name)


async def _write_rows(session: Session, file: Path) -> None:
    """The accounts that Koppel has made, as rows to create: lookups bound, empty columns left out."""
    ready = await ready_mapping(session, "CUSTOMER")
    columns = tuple(dict.fromkeys((*_written(ready), *ready.mapping.dataverse.create)))
    binds = {c: schema for c in columns if (schema := ready.dataverse.schema.columns[c]).kind == "lookup"}
    rows: list[dict[str, object]] = []
    async for page in session.systems["dataverse"].query("account", columns):
        for record in page.records:
            row: dict[str, object] = {}
            for name, value in zip(columns, record.values, strict=True):
                if value is not None and name in binds:
                    row[f"{name}@odata.bind"] = f"/{binds[name].targets[0]}({value})"
                elif value is not None:
                    row[name] = value
            rows.append(row)
    file.write_bytes(msgspec.json.encode(rows))


def _written(ready: Ready) -> list[str]:
    return [f.dataverse.column for f in ready.table.fields if f.dataverse.creatable and f.dataverse.column]


if __name__ == "__main__":
    main()
