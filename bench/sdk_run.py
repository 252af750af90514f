"""Microsoft's own Python client creating accounts, in a process of its own: ``python -m bench.sdk_run``.

Reads an ``Order`` from standard input and prints the seconds as JSON.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import requests
from azure.core.credentials import AccessToken
from PowerPlatform.Dataverse.client import DataverseClient

from bench.places import Place
from koppel.sandbox.tokens import KOPPEL

CHUNK = 1000
"""Rows a call. The client cuts nothing itself; Microsoft's advice is 100 to 1,000 rows, and it is fastest with most."""


class Order(msgspec.Struct, frozen=True):
    """Create the rows of a JSON file."""

    place: Place
    rows: str


class ClientSecret:
    """A credential as the client wants it. A token is asked for once, as the Azure library does it."""

    def __init__(self, base_url: str) -> None:
        self._url = f"{base_url}/contoso/oauth2/v2.0/token"
        self._token: AccessToken | None = None

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        if self._token is None:
            form = {"client_id": KOPPEL.client_id, "client_secret": KOPPEL.secret, "grant_type": "client_credentials"}
            answer = requests.post(self._url, {**form, "scope": scopes[0]}, timeout=10).json()
            self._token = AccessToken(answer["access_token"], int(time.time()) + 3000)
        return self._token


class Finished(msgspec.Struct, frozen=True):
    """How many rows in how many seconds; ``cpu``: seconds of the process."""

    rows: int
    seconds: float
    cpu: float


def run_sdk(place: Place, rows: Path) -> Finished:
    """Create rows in a child process."""
    environment = {**os.environ, "REQUESTS_CA_BUNDLE": place.ca_file, "NO_PROXY": "*"}
    child = subprocess.run(
        [sys.executable, "-m", "bench.sdk_run"],
        input=msgspec.json.encode(Order(place, str(rows))),
        stdout=subprocess.PIPE,
        env=environment,
        check=True,
    )
    return msgspec.json.decode(child.stdout, type=Finished)


def main() -> None:
    """Do what standard input says."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    rows: list[dict[str, Any]] = msgspec.json.decode(Path(order.rows).read_bytes())
    with DataverseClient(order.place.dataverse_url, ClientSecret(order.place.base_url)) as client:
        client.records.list("account", top=1, select=["name"])  # signs in, and looks the table up
        began, cpu = time.monotonic(), time.process_time()
        for start in range(0, len(rows), CHUNK):
            made = client.records.create("account", rows[start : start + CHUNK])
            assert len(made) == len(rows[start : start + CHUNK])
        finished = Finished(len(rows), time.monotonic() - began, time.process_time() - cpu)
    print(msgspec.json.encode(finished).decode())


if __name__ == "__main__":
    main()
