"""``python -m koppel.sandbox``: serve both simulated systems until told to stop.

When ready it prints one line of JSON: ``{"base_url": "http://127.0.0.1:40123", "ca_file": null, "pid": 4711}``.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from koppel.sandbox.faults import Faults
from koppel.sandbox.seed import DATA, INVOICES
from koppel.sandbox.serve import serve
from koppel.sandbox.server import build_sandbox


def main(arguments: list[str] | None = None) -> None:
    """Build the sandbox and serve it; returns when it was told to stop."""
    options = _parser().parse_args(arguments)
    faults = msgspec.json.decode(options.faults.read_bytes(), type=Faults) if options.faults else Faults()
    gc.disable()  # what is made here stays: to look for garbage in it takes longer than to make it
    sandbox = build_sandbox(data=options.data, customers=options.customers, invoices=options.invoices)
    gc.freeze()
    gc.enable()
    sandbox.faults.set(faults)
    with _ca_file(options.https) as ca_file:
        serve(
            sandbox.app,
            host=options.host,
            port=options.port,
            ca_file=ca_file,
            ready=lambda base_url: _announce(base_url, ca_file),
            until=sys.stdin.fileno() if options.until_stdin_closes else None,
        )


@contextmanager
def _ca_file(https: bool) -> Iterator[Path | None]:
    """Where to write the certificate to trust, if there is one."""
    if not https:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="koppel-sandbox-") as folder:
        yield Path(folder) / "ca.pem"


def _announce(base_url: str, ca_file: Path | None) -> None:
    said = {"base_url": base_url, "ca_file": ca_file and str(ca_file), "pid": os.getpid()}
    print(json.dumps(said), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("koppel.sandbox", description="Serves a simulated Dataverse and Business Central.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes any that is free")
    parser.add_argument("--data", choices=DATA, default="adventureworks")
    parser.add_argument("--customers", type=int, help="how many customers (default: the 18,849 of the data)")
    parser.add_argument(
        "--invoices", type=int, default=INVOICES, help="how many of the 25,164 orders are posted as invoices"
    )
    parser.add_argument("--https", action="store_true", help="serve https with a throw-away certificate")
    parser.add_argument("--faults", type=Path, help="a JSON file of faults, as /sandbox/faults shows them")
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when whoever started this dies")
    return parser


if __name__ == "__main__":
    main()
