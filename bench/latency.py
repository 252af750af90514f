"""From an edit on either side to its arrival on the other, told by webhook, through a running ``koppel serve``."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from uuid import uuid4

import msgspec

from bench.koppel_run import run_koppel
from bench.places import ENVIRONMENT, SECRET, Place, sandbox
from bench.results import Row, judged
from koppel.config import write_config
from koppel.odata.records import SPOKEN, Side
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.tokens import ALICE, BOB, KOPPEL
from koppel.sync.open import connect_business_central, connect_dataverse
from koppel.systems.system import System, Update

CUSTOMERS = 700
A_SECOND = 10
SECONDS = 30
LOOK_SECONDS = 0.05
"""How often it is looked whether an edit has arrived."""
DELAY = 0.1
"""How long the simulated Business Central collects changes before it tells; the real one takes 30 seconds."""
PATIENCE = 60.0
WEBHOOK = "KOPPEL_BENCH_WEBHOOK"


class Edit(msgspec.Struct):
    """An edit of one customer, and when it was made and had arrived."""

    id: str
    value: str
    made: float = 0.0
    arrived: float = 0.0


def measure(folder: Path, seconds: int = SECONDS) -> list[Row]:
    """Median and 99th percentile at ten edits a second."""
    (folder / "latency").mkdir()
    with sandbox(CUSTOMERS) as place:
        run_koppel(place, folder / "latency", ["setup", "full"])
        place.tell("webhooks", "PUT", {"delay": DELAY})
        with _serving(place, folder / "latency"):
            waited = asyncio.run(_edited(place, folder / "latency", seconds * A_SECOND))
    return [row for side, found in waited.items() for row in _rows(side, found)]


def _rows(side: Side, waited: list[float]) -> list[Row]:
    told = f"{len(waited)} edits, {A_SECOND} a second"
    if side == "business_central":
        told += f"; Business Central tells {DELAY:g} s after an edit, which is in it"
    what, middle, late = f"from an edit in {SPOKEN[side]} to its arrival", median(waited), quantiles(waited, n=100)[98]
    first = judged(f"{what}, told by webhook: median, s", middle, f"{middle:.2f}", most=2)
    return [
        msgspec.structs.replace(first, how=told),
        Row(what=f"{what}, told by webhook: 99th percentile, s", measured=f"{late:.2f}"),
    ]


@contextmanager
def _serving(place: Place, folder: Path) -> Iterator[None]:
    port = _free_port()
    os.environ |= {SECRET: KOPPEL.secret, WEBHOOK: uuid4().hex}
    write_config(
        folder / "koppel.yaml",
        business_central_url=f"{place.base_url}/bc/v2.0/{ENVIRONMENT}",
        company=COMPANY,
        dataverse_url=place.dataverse_url,
        tenant="contoso",
        client_id=KOPPEL.client_id,
        authority=place.base_url,
        ca_file=Path(place.ca_file),
    )
    text = (
        (folder / "koppel.yaml")
        .read_text()
        .replace("KOPPEL_CLIENT_SECRET", SECRET)
        .replace("folder: .koppel", "folder: .")
    )
    text += f"webhooks: {{url: 'http://127.0.0.1:{port}', secret: {{env: {WEBHOOK}}}}}\n"
    (folder / "koppel.yaml").write_text(text)
    command = [sys.executable, "-m", "koppel.cli", "serve", "--port", str(port)]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL) as process:
        try:
            _until_subscribed(place)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _until_subscribed(place: Place) -> None:
    end = time.monotonic() + PATIENCE
    while (told := place.ask("webhooks"))["subscriptions"] < 10 or told["steps"] < 10:
        assert time.monotonic() < end, "koppel serve did not subscribe"
        time.sleep(0.2)
    time.sleep(3)  # the first run of every mapping


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


async def _edited(place: Place, folder: Path, number: int) -> dict[Side, list[float]]:
    """Make the edits on one side, then on the other, each of another customer, and see them arrive; seconds from one
    to the other."""
    bob = connect_business_central(place.config(folder, BOB))
    alice = connect_dataverse(place.config(folder, ALICE))
    ours, theirs = End(bob, "customers", "phoneNumber"), End(alice, "account", "telephone1")
    try:
        ids = [r.id async for page in alice.query("account", (), filter="customertypecode eq 3") for r in page.records]
        coupled = list(await bob.by_ids("customers", (), ids))
        return {
            "business_central": await _carried(ours, theirs, coupled[:number]),
            "dataverse": await _carried(theirs, ours, coupled[number : 2 * number]),
        }
    finally:
        await bob.close()
        await alice.close()


class End(msgspec.Struct, frozen=True):
    """Where a value is edited or arrives."""

    system: System
    table: str
    column: str


async def _carried(here: End, there: End, ids: list[str]) -> list[float]:
    edits = [Edit(id, f"555-{n:04}") for n, id in enumerate(ids)]
    await asyncio.gather(_make(here, edits), _see(there, edits))
    return [edit.arrived - edit.made for edit in edits]


async def _make(end: End, edits: list[Edit]) -> None:
    begun = time.monotonic()
    for place, edit in enumerate(edits):
        await asyncio.sleep(max(0.0, begun + place / A_SECOND - time.monotonic()))
        (record,) = (await end.system.by_ids(end.table, (), [edit.id])).values()
        edit.made = time.monotonic()
        (written,) = await end.system.update(end.table, [Update(edit.id, record.version, {end.column: edit.value})], ())
        assert written.error is None, written.error


async def _see(end: End, edits: list[Edit]) -> None:
    last = time.monotonic() + len(edits) / A_SECOND + PATIENCE
    while missing := {edit.id: edit for edit in edits if not edit.arrived}:
        assert time.monotonic() < last, f"{len(missing)} edits did not arrive"
        for id, record in (await end.system.by_ids(end.table, (end.column,), list(missing))).items():
            if missing[id].made and record.values[0] == missing[id].value:
                missing[id].arrived = time.monotonic()
        await asyncio.sleep(LOOK_SECONDS)
