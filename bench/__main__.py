"""``python -m bench`` (``make bench``): the figures of Koppel, printed and written to ``RESULTS.md``.

``--quick`` takes 10,000 customers instead of 100,000 and writes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from rich.console import Console

from bench import engine
from bench.koppel_run import Finished, run_koppel
from bench.places import Place, sandbox
from bench.results import Row, judged, show, write
from bench.sdk_run import run_sdk
from koppel.sandbox.tokens import BOB
from koppel.sync.open import connect_business_central
from koppel.systems.system import Update

MANY, QUICK = 100_000, 10_000
EDITED = 2_000
MEGABYTE = 1024 * 1024


def main() -> None:
    """Measure everything."""
    options = _parser().parse_args()
    customers = options.customers or (QUICK if options.quick else MANY)
    rows = engine.measure()
    with tempfile.TemporaryDirectory(prefix="koppel-bench-") as name:
        rows += _runs(customers, Path(name))
    show(rows, Console())
    if not options.quick:
        write(rows, "python -m bench" + (f" --customers {customers}" if options.customers else ""))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("bench", description="Measures Koppel; takes a few minutes.")
    parser.add_argument("--quick", action="store_true", help="10,000 customers, nothing written")
    parser.add_argument("--customers", type=int, help="how many customers")
    return parser


def _runs(customers: int, folder: Path) -> list[Row]:
    """Whole runs over HTTP, Koppel beside Microsoft's client, each in a process and against a sandbox of its own."""
    ours, theirs = folder / "koppel", folder / "sdk"
    ours.mkdir()
    theirs.mkdir()
    with sandbox(customers) as place:
        # The first run after it tries once more what failed; from the second on there is nothing to do.
        full, _, nothing = run_koppel(place, ours, ["setup", "full", "sync", "sync", "rows"])
        asyncio.run(_edit(place, ours, min(EDITED, customers // 10)))
        [updated] = run_koppel(place, ours, ["sync"])
    with sandbox(customers=100) as place:
        run_koppel(place, theirs, ["setup"])
        sdk = run_sdk(place, ours / "rows.json")
    created = full.counts.get("created", 0)
    return [
        judged(
            f"whole synchronisation of {created:,} new customers: time over Microsoft's client creating the same rows",
            full.seconds / sdk.seconds * sdk.rows / created,
            f"{full.seconds / sdk.seconds * sdk.rows / created:.2f} ({full.seconds:.1f} s against {sdk.seconds:.1f} s)",
            most=1.0,
        ),
        _requests("requests for 1,000 creations", full, created),
        _requests("requests for 1,000 updates", updated, updated.counts.get("updated", 0)),
        judged("nothing changed: requests of each system", max(nothing.requests.values()), _told(nothing), most=2),
        judged("nothing changed: seconds", nothing.seconds, f"{nothing.seconds:.2f}", most=5),
        judged("nothing changed: write requests", nothing.write_requests, str(nothing.write_requests), most=0),
        judged("peak memory of the process, MB", full.peak / MEGABYTE, f"{full.peak / MEGABYTE:,.0f}", most=400),
    ]


def _requests(what: str, run: Finished, records: int) -> Row:
    rate = sum(run.requests.values()) * 1000 / max(1, records)
    return judged(what, rate, f"{rate:.1f} ({_told(run)})", most=11)


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


if __name__ == "__main__":
    main()
