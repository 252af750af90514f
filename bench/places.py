"""The sandbox as the benchmarks use it: https, since Microsoft's client insists on it, and a way to its controls."""

from __future__ import annotations

import json
import os
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from koppel.config import Auth, BusinessCentral, Config, Dataverse, Secret
from koppel.sandbox.process import start_sandbox
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.tokens import KOPPEL, User

SECRET = "KOPPEL_BENCH_SECRET"
ENVIRONMENT = "sandbox"
SETTLED = 3600.0


class Place(msgspec.Struct, frozen=True):
    """Where a sandbox listens, and the process that it is."""

    base_url: str
    ca_file: str
    pid: int

    @property
    def dataverse_url(self) -> str:
        """What a Dataverse client calls the environment's address."""
        return f"{self.base_url}/dataverse"

    def config(self, folder: Path, user: User = KOPPEL) -> Config:
        """A configuration of Koppel for this sandbox, its database in ``folder``."""
        os.environ[SECRET] = user.secret
        trusted = Path(self.ca_file)
        auth = Auth(
            tenant="contoso", client_id=user.client_id, client_secret=Secret(env=SECRET), authority=self.base_url
        )
        return Config(
            business_central=BusinessCentral(
                url=f"{self.base_url}/bc/v2.0/{ENVIRONMENT}", company=COMPANY, auth=auth, ca_file=trusted
            ),
            dataverse=Dataverse(url=self.dataverse_url, auth=auth, ca_file=trusted),
            folder=folder,
        )

    def tell(self, control: str, method: str, body: object) -> None:
        """Change the clock, the faults or the limits of the sandbox."""
        self._send(control, method, json.dumps(body).encode())

    def ask(self, control: str) -> dict[str, Any]:
        """What the sandbox says of its clock, faults, limits or webhooks."""
        told: dict[str, Any] = json.loads(self._send(control, "GET", None))
        return told

    def _send(self, control: str, method: str, body: bytes | None) -> bytes:
        request = urllib.request.Request(f"{self.base_url}/sandbox/{control}", body, method=method)
        trusting = ssl.create_default_context(cafile=self.ca_file)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusting)
        )
        with opener.open(request, timeout=30) as answer:
            found: bytes = answer.read()
            return found

    def cpu_seconds(self) -> float:
        """Processor time that the sandbox has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def sandbox(customers: int | None, invoices: int = 0) -> Iterator[Place]:
    """A fresh sandbox in a process of its own, whose records are not of the last minutes: Koppel reads those twice."""
    with start_sandbox(customers=customers, invoices=invoices, https=True, timeout=600) as process:
        assert process.ca_file is not None
        place = Place(process.base_url, str(process.ca_file), process.process.pid)
        place.tell("clock", "POST", {"advance": SETTLED})
        yield place
