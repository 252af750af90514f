"""``python -m bench`` (``make bench``): the figures of Koppel, printed and written to ``RESULTS.md``.

``--quick`` takes 10,000 customers instead of 100,000 and writes nothing.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from rich.console import Console

from bench import documents, engine, latency, runs, workers
from bench.results import show, write

MANY, QUICK = 100_000, 10_000
QUICK_INVOICES = 2_000


def main() -> None:
    """Measure everything."""
    options = _parser().parse_args()
    customers = options.customers or (QUICK if options.quick else MANY)
    rows = engine.measure()
    with tempfile.TemporaryDirectory(prefix="koppel-bench-") as name:
        rows += runs.measure(customers, Path(name))
        rows += documents.measure(Path(name), *([QUICK_INVOICES] if options.quick else []))
        rows += workers.measure(customers, Path(name))
        rows += latency.measure(Path(name))
    show(rows, Console())
    if not options.quick:
        write(rows, "python -m bench" + (f" --customers {customers}" if options.customers else ""))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("bench", description="Measures Koppel; takes a few minutes.")
    parser.add_argument("--quick", action="store_true", help="10,000 customers, nothing written")
    parser.add_argument("--customers", type=int, help="how many customers")
    return parser


if __name__ == "__main__":
    main()
