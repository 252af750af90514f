"""One full synchronisation, by one process and by several side by side, at systems a while away.

``python -m bench.workers`` is one that has a hand in what others lead.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.koppel_run import Finished, run_koppel
from bench.places import Place, sandbox
from bench.results import Row, judged
from koppel.cli.running import run_to_end
from koppel.store import portions
from koppel.sync.hand import lend_a_hand
from koppel.sync.open import known_mappings, open_connections, session_on
from koppel.sync.spread import identities

WORKERS = 4
LATENCY = 0.05
LOOK_SECONDS = 0.5


class Busy(msgspec.Struct, frozen=True):
    """Seconds of processor time: of everything on this machine, and of the sandbox, which real systems have not."""

    everything: float
    sandbox: float

    def __sub__(self, before: Busy) -> Busy:
        return Busy(self.everything - before.everything, self.sandbox - before.sandbox)

    def __str__(self) -> str:
        return f"{self.everything:.1f} s, {self.sandbox:.1f} s of it the sandbox's"


class Helper(msgspec.Struct, frozen=True):
    """Where to help."""

    place: Place
    folder: str


def measure(customers: int, folder: Path) -> list[Row]:
    """How much faster several workers are than one."""
    alone, busy = _full(customers, folder / "alone", 1)
    together, all_busy = _full(customers, folder / "together", WORKERS)
    ratio = alone.seconds / together.seconds
    row = judged(
        f"full synchronisation of {customers:,} customers by {WORKERS} workers: times as fast as by one",
        ratio,
        f"{ratio:.2f} ({alone.seconds:.1f} s, {together.seconds:.1f} s)",
        least=1.6,
    )
    how = f"answers {LATENCY * 1000:.0f} ms later; processor time by one: {busy}; by {WORKERS}: {all_busy}"
    return [msgspec.structs.replace(row, how=how)]


def _full(customers: int, folder: Path, workers: int) -> tuple[Finished, Busy]:
    folder.mkdir()
    with sandbox(customers) as place:
        run_koppel(place, folder, ["setup"])
        place.tell("faults", "PUT", {side: {"latency": LATENCY} for side in ("dataverse", "business_central")})
        before = _busy(place)
        with _helpers(place, folder, workers - 1):
            [full] = run_koppel(place, folder, ["help", "full"] if workers > 1 else ["full"])
        return full, _busy(place) - before


@contextmanager
def _helpers(place: Place, folder: Path, number: int) -> Iterator[None]:
    order = msgspec.json.encode(Helper(place, str(folder)))
    helpers = []
    for _ in range(number):
        helper = subprocess.Popen([sys.executable, "-m", "bench.workers"], stdin=subprocess.PIPE)
        assert helper.stdin is not None
        helper.stdin.write(order)
        helper.stdin.close()
        helpers.append(helper)
    try:
        yield
    finally:
        for helper in helpers:
            helper.terminate()
        for helper in helpers:
            helper.wait(30)


def _busy(place: Place) -> Busy:
    """So far."""
    user, nice, system, *_ = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
    return Busy((int(user) + int(nice) + int(system)) / 100, place.cpu_seconds())


async def _help(order: Helper) -> None:
    config = order.place.config(Path(order.folder))
    mappings = known_mappings(config)
    async with open_connections(config) as opened, opened.database.connect() as connection:
        await portions.be_ready(connection)
        known = identities(mappings)
        while True:
            if await portions.offered(connection, known):
                async with session_on(opened, mappings) as session:
                    print(await lend_a_hand(session, known), "portions", file=sys.stderr)
            await asyncio.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    run_to_end(_help(msgspec.json.decode(sys.stdin.buffer.read(), type=Helper)))
