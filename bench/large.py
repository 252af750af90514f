"""A million customers: ``python -m bench.large`` creates them once, then looks at them when nothing changed.

Prints the figures and writes them to ``RESULTS-large.md``. The sandbox takes most of the memory that this needs.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from rich.console import Console

from bench.koppel_run import run_koppel
from bench.places import sandbox
from bench.results import FILE, Row, show, write
from bench.runs import memory, quiet, whole

MANY = 1_000_000


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser("bench.large", description="A million customers when nothing changed.")
    parser.add_argument("--customers", type=int, default=MANY, help="how many customers")
    customers = parser.parse_args().customers
    rows = measure(customers)
    show(rows, Console())
    if customers == MANY:
        write(rows, "python -m bench.large", FILE.with_name("RESULTS-large.md"))


def measure(customers: int) -> list[Row]:
    """The first full synchronisation, runs without changes, and a full compare."""
    with tempfile.TemporaryDirectory(prefix="koppel-bench-") as name, sandbox(customers) as place:
        full, _, _, nothing, compared = run_koppel(place, Path(name), ["setup", "full", "sync", "sync", "sync", "full"])
    return [
        whole(f"creating {full.counts.get('created', 0):,} customers", full),
        *quiet(nothing),
        whole(f"full compare of {customers:,} customers with their accounts", compared),
        memory(compared),
    ]


if __name__ == "__main__":
    main()
