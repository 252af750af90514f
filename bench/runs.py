"""Whole runs over HTTP: Koppel beside Microsoft's client, each in a process and against a sandbox of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from bench import sdk_run
from bench.koppel_run import Finished, Step, run_koppel
from bench.places import Place, sandbox
from bench.results import Row, judged
from bench.sdk_run import run_sdk
from koppel.sandbox.tokens import BOB
from koppel.sync.open import connect_business_central
from koppel.systems.system import Update

EDITED = 2_000
AWAY = 100_000
LATENCY = 0.1
MEGABYTE = 1024 * 1024

# The runs after the full one try once more what failed, and what that let through; then there is nothing to do.
FIRST: list[Step] = ["setup", "full", "sync", "sync", "sync", "rows"]
EDITS: list[Step] = ["setup", "sync", "full", "match"]


def measure(customers: int, folder: Path) -> list[Row]:
    """Everything that whole runs of so many customers show, and of ``AWAY`` customers at systems far away."""
    near, away = folder / "near", folder / "away"
    near.mkdir()
    away.mkdir()
    return [*_near(customers, near), _away(min(customers, AWAY), away)]


def _near(customers: int, folder: Path) -> list[Row]:
    with sandbox(customers) as place:
        full, _, _, nothing = run_koppel(place, folder, FIRST)
        asyncio.run(_edit(place, folder, min(EDITED, customers // 10)))
        updated, compared, matched = run_koppel(place, folder, EDITS)
    sdk = _microsofts_client(folder)
    created, coupled = full.counts.get("created", 0), matched.counts.get("coupled", 0)
    return [
        _beside(f"whole synchronisation of {created:,} new customers", full, sdk),
        _requests("requests for 1,000 creations", full, created),
        _requests("requests for 1,000 updates", updated, updated.counts.get("updated", 0)),
        *quiet(nothing),
        whole(f"full compare of {customers:,} customers with their accounts", compared),
        whole(f"coupling {coupled:,} customers with as many accounts by matching", matched),
        memory(matched),
    ]


def _away(customers: int, folder: Path) -> Row:
    """The same at systems that answer each request a while later, as those of the cloud do."""
    faults = {"dataverse": {"latency": LATENCY}, "business_central": {"latency": LATENCY}}
    with sandbox(customers) as place:
        run_koppel(place, folder, ["setup"])
        place.tell("faults", "PUT", faults)
        [full] = run_koppel(place, folder, ["full", "rows"])
    created = full.counts.get("created", 0)
    what = f"the same of {created:,} new customers when each answer takes {LATENCY * 1000:.0f} ms longer"
    return _beside(what, full, _microsofts_client(folder, faults))


def _microsofts_client(folder: Path, faults: object = None) -> sdk_run.Finished:
    """The rows that Koppel has made, created by Microsoft's client in a sandbox without accounts."""
    theirs = folder / "sdk"
    theirs.mkdir()
    with sandbox(customers=100) as place:
        run_koppel(place, theirs, ["setup"])
        if faults is not None:
            place.tell("faults", "PUT", faults)
        return run_sdk(place, folder / "rows.json")


def _beside(what: str, run: Finished, sdk: sdk_run.Finished) -> Row:
    created = run.counts.get("created", 0)
    ratio = run.seconds / sdk.seconds * sdk.rows / created
    row = judged(
        f"{what}: time over Microsoft's client creating the same rows",
        ratio,
        f"{ratio:.2f} ({run.seconds:.1f} s against {sdk.seconds:.1f} s)",
        most=1.0,
    )
    return msgspec.structs.replace(row, how=f"Koppel used {run.cpu:.1f} s of processor time, the client {sdk.cpu:.1f}")


def _requests(what: str, run: Finished, records: int) -> Row:
    rate = sum(run.requests.values()) * 1000 / max(1, records)
    return judged(what, rate, f"{rate:.1f} ({_told(run)})", most=11)


def quiet(nothing: Finished) -> list[Row]:
    """A run that found nothing changed."""
    return [
        judged("nothing changed: requests of each system", max(nothing.requests.values()), _told(nothing), most=2),
        judged("nothing changed: seconds", nothing.seconds, f"{nothing.seconds:.2f}", most=5),
        judged("nothing changed: write requests", nothing.write_requests, str(nothing.write_requests), most=0),
    ]


def whole(what: str, run: Finished) -> Row:
    """A run over everything: seconds, requests, peak memory so far."""
    measured = f"{run.seconds:.1f} s, {_told(run)}, {run.peak / MEGABYTE:,.0f} MB"
    return Row(what=what, measured=measured, how=f"{run.write_requests} write requests")


def memory(run: Finished) -> Row:
    """The most memory so far."""
    return judged("peak memory of the process, MB", run.peak / MEGABYTE, f"{run.peak / MEGABYTE:,.0f}", most=400)


def _told(run: Finished) -> str:
    return f"{run.requests['business_central']} to Business Central, {run.requests['dataverse']} to Dataverse"


async def _edit(place: Place, folder: Path, number: int) -> None:
    """Let a person change the phone number of some customers in Business Central."""
    client = connect_business_central(place.config(folder, BOB))
    try:
        async for page in client.query("customers", ("id",), filter="blocked eq '_x0020_'"):
            chosen = page.records[:: max(1, len(page.records) // number)][:number]
            values = {"phoneNumber": "425-555-0177"}
            await client.update("customers", [Update(r.id, r.version, values) for r in chosen], ("id",))
            return
    finally:
        await client.close()
