"""``make storm SECONDS=60 RATE=1000``: so many notifications a second, and what becomes of them.

A notification tells of one change of one record: an entry of a post of Business Central, which sends up to 100 of them
in one, or a post of Dataverse, which has one each. Half of them are either system's. Sandbox and ``koppel serve`` are
processes of their own; the systems themselves are kept from telling, so that nothing but the storm does. Some of what
is told was edited; every edit is told once. Ends with status 1 when one is not on the other side in the end, or
anything else differs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec
import requests
from command_line import connected

from koppel import Koppel
from koppel.config import load_config
from koppel.odata.records import Scalar, Side
from koppel.sandbox.process import start_sandbox
from koppel.sandbox.tokens import KOPPEL
from koppel.systems.system import Create, System, Update
from soak import TABLES, WEBHOOK_SECRET, Soak, set_up

CUSTOMERS = 2_000
NOBODY = 9
"""A port where nobody listens."""
TICK_SECONDS = 0.1
MOST_IN_A_POST = 100
EDITED = 50
"""One notification of so many tells of an edit; the others tell of records that are as they were."""
AGAIN_SECONDS = 1.0
PATIENCE_SECONDS = 120.0
AT_ONCE = 200
"""Connections: more posts than that wait for one, which counts as time until the answer."""
ANSWER_SECONDS = 60.0
"""For so long Dataverse waits for an answer, then it tells once more."""


class Told(msgspec.Struct):
    """What a storm came to. ``answers``: seconds until each post was taken. ``calm``: seconds after the last post until
    nothing was left to do."""

    notifications: int = 0
    posts: int = 0
    refused: int = 0
    edits: int = 0
    seconds: float = 0.0
    calm: float = 0.0
    answers: list[float] = []
    runs: dict[str, int] = {}
    wrong: list[str] = []

    def lines(self) -> Iterator[str]:
        """The report."""
        yield f"{self.notifications:,} notifications in {self.posts:,} posts, {self.edits:,} of them of edits"
        yield f"{self.notifications / self.seconds:,.0f} notifications a second"
        yield f"refused, and told once more: {self.refused:,}"
        late = quantiles(self.answers, n=100)[98]
        yield f"until the answer: median {median(self.answers) * 1000:.1f} ms, 99th percentile {late * 1000:.1f} ms"
        yield f"runs: {sum(self.runs.values())} ({', '.join(f'{name} {n}' for name, n in self.runs.items())})"
        yield f"nothing left to do {self.calm:.1f} s after the last post"
        yield f"wrong: {len(self.wrong)}"
        yield from self.wrong[:20]


class Storm:
    """Who tells, and of what. ``typed``: by side and record what stands there; ``waiting``: edits to be told."""

    def __init__(self, soak: Soak, rate: int) -> None:
        self.soak = soak
        self.rate = rate
        self.told = Told()
        self.ids: dict[Side, list[str]] = {}
        self.typed: dict[Side, dict[str, Scalar]] = {side: {} for side in TABLES}
        self.waiting: dict[Side, deque[str]] = {side: deque() for side in TABLES}
        self._secret = os.environ[WEBHOOK_SECRET]
        self._session: aiohttp.ClientSession
        self._posts: set[asyncio.Task[None]] = set()

    async def rage(self, seconds: float) -> None:
        """Edit and tell for so long, then until everything is taken."""
        systems = {side: connected(load_config(self.soak.folder / "koppel.yaml"), side) for side in TABLES}
        connector = aiohttp.TCPConnector(limit=AT_ONCE)
        try:
            self.ids = {side: await everybody(system, side) for side, system in systems.items()}
            patience = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
            async with aiohttp.ClientSession(connector=connector, timeout=patience) as self._session:
                began = time.monotonic()
                await asyncio.gather(
                    self._tell(seconds), *(self._edit(system, side, seconds) for side, system in systems.items())
                )
                self._post_all(self.waiting["business_central"], self.waiting["dataverse"])
                await asyncio.gather(*self._posts)
                self.told.seconds = time.monotonic() - began
            await self._compare(systems)
        finally:
            for system in systems.values():
                await system.close()

    # what is edited

    async def _edit(self, system: System, side: Side, seconds: float) -> None:
        """Each second some records at once, each of which is told."""
        table, phone, website = TABLES[side]
        column = phone if side == "business_central" else website
        for second in range(max(1, round(seconds))):
            began = time.monotonic()
            chosen = self.soak.dice.sample(self.ids[side], max(1, self.rate // 2 // EDITED))
            values = {id: f"{second}-{self.soak.dice.randint(0, 99999):05}" for id in chosen}
            found = await system.by_ids(table, (), chosen)
            updates = [Update(id, record.version, {column: values[id]}) for id, record in found.items()]
            written = await system.update(table, updates, ())
            made = [one.id for one, answer in zip(updates, written, strict=True) if answer.error is None]
            self.typed[side] |= {id: values[id] for id in made}
            self.waiting[side] += made
            self.told.edits += len(made)
            await asyncio.sleep(max(0.0, 1.0 - (time.monotonic() - began)))

    # what is told

    async def _tell(self, seconds: float) -> None:
        """At its rate, whatever the answers do."""
        began, due, done = time.monotonic(), 0.0, dict.fromkeys(TABLES, 0)
        for tick in range(round(seconds / TICK_SECONDS)):
            await asyncio.sleep(max(0.0, began + tick * TICK_SECONDS - time.monotonic()))
            due += self.rate / 2 * TICK_SECONDS
            singles = self._next("dataverse", round(due) - done["dataverse"])
            whole = (round(due) - done["business_central"]) // MOST_IN_A_POST * MOST_IN_A_POST
            self._post_all(self._next("business_central", whole), singles)
            done["dataverse"] += len(singles)
            done["business_central"] += whole

    def _next(self, side: Side, number: int) -> list[str]:
        """What was edited first, then anybody."""
        waiting = self.waiting[side]
        edited = [waiting.popleft() for _ in range(min(number, len(waiting)))]
        return edited + self.soak.dice.choices(self.ids[side], k=number - len(edited))

    def _post_all(self, customers: Iterable[str], accounts: Iterable[str]) -> None:
        customers = list(customers)
        for start in range(0, len(customers), MOST_IN_A_POST):
            some = customers[start : start + MOST_IN_A_POST]
            self._start("business-central", {"value": [entry(id, self._secret) for id in some]}, len(some))
        for id in accounts:
            self._start("dataverse", execution(id), 1)

    def _start(self, place: str, body: Any, notifications: int) -> None:
        self.told.notifications += notifications
        self.told.posts += 1
        task = asyncio.create_task(self._post(place, msgspec.json.encode(body)))
        self._posts.add(task)
        task.add_done_callback(self._posts.discard)

    async def _post(self, place: str, body: bytes) -> None:
        """Until it is taken, as both systems do."""
        url = f"http://127.0.0.1:{self.soak.port}/webhooks/{place}"
        headers = {"content-type": "application/json", "x-koppel-secret": self._secret}
        began = time.monotonic()
        while True:
            try:
                async with self._session.post(url, data=body, headers=headers) as answer:
                    if answer.status == 204:
                        break
            except (aiohttp.ClientError, TimeoutError):
                pass
            self.told.refused += 1
            await asyncio.sleep(AGAIN_SECONDS)
        self.told.answers.append(time.monotonic() - began)

    # what came of it

    async def _compare(self, systems: Mapping[Side, System]) -> None:
        """Once there is nothing left to do: whether every edit is still where it was made."""
        ended = time.monotonic()
        await asyncio.to_thread(until, self.soak, is_calm)
        self.told.calm = time.monotonic() - ended
        for side, system in systems.items():
            table, phone, website = TABLES[side]
            column = phone if side == "business_central" else website
            there = await system.by_ids(table, (column,), list(self.typed[side]))
            self.told.wrong += [
                f"{side} {id}: {value} was typed, {there[id].values[0] if id in there else 'nothing'} is there"
                for id, value in self.typed[side].items()
                if id not in there or there[id].values[0] != value
            ]


async def everybody(system: System, side: Side) -> list[str]:
    """The ids of all customers."""
    filter = "customertypecode eq 3" if side == "dataverse" else None
    return [r.id async for page in system.query(TABLES[side][0], (), filter=filter) for r in page.records]


def entry(id: str, secret: str) -> dict[str, str]:
    """An entry of a post of Business Central."""
    return {
        "subscriptionId": "8c2e0c3a5b6f4b0d9a1e7f6d5c4b3a21",
        "clientState": secret,
        "expirationDateTime": "2099-01-01T00:00:00Z",
        "resource": f"api/koppel/sync/v1.0/companies(5f7f4f4e-0000-4000-8000-000000000001)/customers({id})",
        "changeType": "updated",
        "lastModifiedDateTime": "2099-01-01T00:00:00.123Z",
    }


def execution(id: str) -> dict[str, Any]:
    """A post of Dataverse: somebody saved an account; as large as they are."""
    attributes = [{"key": f"column{number}", "value": f"value {number}"} for number in range(40)]
    entity = {"__type": "Entity:http://schemas.microsoft.com/xrm/2011/Contracts", "Attributes": attributes, "Id": id}
    return {
        "MessageName": "Update",
        "PrimaryEntityName": "account",
        "PrimaryEntityId": id,
        "InitiatingUserId": str(uuid4()),
        "Depth": 1,
        "Stage": 40,
        "InputParameters": [{"key": "Target", "value": entity}],
        "PostEntityImages": [{"key": "AsynchronousStepPrimaryName", "value": {**entity, "Attributes": attributes[:2]}}],
    }


def until(soak: Soak, is_so: Callable[[str], bool]) -> None:
    """Wait until what ``serve`` tells of itself is so, twice in a row."""
    end, times = time.monotonic() + PATIENCE_SECONDS, 0
    while times < 2:
        assert time.monotonic() < end, "it does not come to rest"
        time.sleep(0.25)
        with suppress(requests.RequestException):
            times = times + 1 if is_so(metrics(soak)) else 0


def has_settled(page: str) -> bool:
    """Whether each mapping ran once, and found nothing to do."""
    return 'state="inactive"' in page and 'state="ready"' not in page


def is_calm(page: str) -> bool:
    """Whether nothing runs, and nothing that was told waits."""
    return not re.search(r'^koppel_(notices_waiting\{|jobs_total\{.*status="running")', page, re.M)


def metrics(soak: Soak) -> str:
    """What ``serve`` tells of itself."""
    page = requests.get(f"http://127.0.0.1:{soak.port}/metrics", timeout=30)
    page.raise_for_status()
    return page.text


def finished(soak: Soak) -> Counter[str]:
    """Jobs so far, by mapping."""
    found = re.findall(r'^koppel_jobs_total\{mapping="(.*?)".*\} (\d+)$', metrics(soak), re.M)
    return sum((Counter({name: int(number)}) for name, number in found), Counter())


async def settle(soak: Soak, customers: int) -> None:
    """So many customers move in."""
    system = connected(load_config(soak.folder / "koppel.yaml"), "business_central")
    try:
        new = [Create("", {"displayName": f"Customer {number}"}) for number in range(customers)]
        assert all(one.error is None for one in await system.create("customers", new, ()))
    finally:
        await system.close()


@contextmanager
def serving(seed: int = 0, customers: int = CUSTOMERS) -> Iterator[Soak]:
    """A synchronised company and ``koppel serve``, at rest; what changes is told by nobody."""
    with tempfile.TemporaryDirectory(prefix="koppel-storm-") as name, start_sandbox(data="empty") as sandbox:
        soak = set_up(Path(name), sandbox, seed, told_at=NOBODY)
        asyncio.run(settle(soak, customers))
        soak.run("full", "--yes")
        soak.tell("privileges", {KOPPEL.id: ["prvCreateServiceEndpoint"]})
        try:
            soak.start("serve")
            until(soak, has_settled)
            yield soak
        finally:
            for process in soak.processes.values():
                process.kill()
                process.wait()


def storm(soak: Soak, seconds: float, rate: int) -> Told:
    """Let it rage, then compare."""
    before = finished(soak)
    raging = Storm(soak, rate)
    asyncio.run(raging.rage(seconds))
    told = raging.told
    told.runs = dict(finished(soak) - before)
    soak.stop("serve", signal.SIGTERM)
    told.wrong += left_over(soak)
    return told


def left_over(soak: Soak) -> Iterator[str]:
    """What another run finds to do, and what differs."""
    with Koppel(soak.folder / "koppel.yaml") as koppel:
        (again,) = koppel.sync("CUSTOMER").finished
        if again.result is None or again.result.write_requests:
            yield f"something was left to do: {again}"
        found = koppel.verify("CUSTOMER")
    yield from map(str, (*found.differences, *found.duplicates, *found.orphans))


def main() -> int:
    """One storm; 1 when something is wrong at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with serving(options.seed) as soak:
        told = storm(soak, options.seconds, options.rate)
    print(*told.lines(), sep="\n")
    return 1 if told.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
