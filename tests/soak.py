"""``make soak MINUTES=30``: serve, a worker, people on both sides, faults and deaths; then nothing may differ.

Everything is a process of its own, as an administrator runs it. Ends with status 1 when ``koppel verify`` finds
anything, or edits are missing on the side where they were made.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import requests
from command_line import PEOPLE, SECRET, configure, connected

from koppel.config import load_config
from koppel.errors import RemoteError
from koppel.odata.records import Side
from koppel.sandbox.process import SandboxProcess, start_sandbox
from koppel.sandbox.tokens import KOPPEL
from koppel.systems.system import System, Update

CUSTOMERS = 300
WEBHOOK_SECRET = "KOPPEL_WEBHOOK_SECRET"
TABLES: dict[Side, tuple[str, str, str]] = {
    "business_central": ("customers", "phoneNumber", "website"),
    "dataverse": ("account", "telephone1", "websiteurl"),
}
TROUBLE_SECONDS = 5.0
"""How long each piece of trouble lasts."""
QUIET_SECONDS = 20.0
FAULTS = (
    {"dataverse": {"unavailable": 0.2}, "business_central": {"unavailable": 0.2}},
    {"dataverse": {"lost": 0.1}, "business_central": {"lost": 0.1}},
    {"dataverse": {"latency": 0.5}, "business_central": {"latency": 0.5}},
)


class Soak:
    """What runs, and what people did. ``typed`` holds by side and customer what stands there since."""

    def __init__(self, folder: Path, sandbox: SandboxProcess, port: int, seed: int) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.port = port
        self.dice = random.Random(seed)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.edits = 0
        self.deaths = 0

    def start(self, name: str) -> None:
        """Start serve or a worker."""
        words = ["serve", "--port", str(self.port)] if name == "serve" else ["worker"]
        command = [sys.executable, "-m", "koppel.cli", *words]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(command, cwd=self.folder, stderr=log)

    def stop(self, name: str, number: int) -> None:
        """Tell it to stop, or kill it."""
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait()

    def run(self, *words: str) -> dict[str, Any]:
        """What a command prints with ``--json``."""
        command = [sys.executable, "-m", "koppel.cli", *words, "--json"]
        told = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        found: dict[str, Any] = json.loads(told.stdout or "{}")
        return found

    def tell(self, what: str, content: Any) -> None:
        """Set something of the sandbox."""
        requests.put(f"{self.sandbox.base_url}/sandbox/{what}", json=content, timeout=60).raise_for_status()


async def people(soak: Soak, side: Side, until: float) -> None:
    """Somebody who edits on one side, one customer after the other."""
    system = connected(load_config(soak.folder / "koppel.yaml"), side)
    table, phone, website = TABLES[side]
    filter = "customertypecode eq 3" if side == "dataverse" else None
    try:
        ids = [r.id async for page in system.query(table, (), filter=filter) for r in page.records]
        while time.monotonic() < until:
            column = soak.dice.choice((phone, website))
            value = f"555-{soak.dice.randint(0, 9999):04}" if column == phone else f"{soak.dice.random()}.example"
            soak.edits += await _edited(system, table, soak.dice.choice(ids), column, value)
            await asyncio.sleep(soak.dice.random() / 4)
    finally:
        await system.close()


async def _edited(system: System, table: str, id: str, column: str, value: str) -> bool:
    """Whether an edit was made; a system in trouble, or another editor, may keep somebody from it."""
    try:
        found = await system.by_ids(table, (), [id])
        answers = [await system.update(table, [Update(id, r.version, {column: value})], ()) for r in found.values()]
    except RemoteError:
        return False
    return all(one.error is None for some in answers for one in some)


async def trouble(soak: Soak, until: float) -> None:
    """Faults, deaths, restarts, one after the other."""
    while time.monotonic() < until:
        kind = soak.dice.choice(("faults", "death", "restart", "nothing"))
        if kind == "faults":
            await asyncio.to_thread(soak.tell, "faults", soak.dice.choice(FAULTS))
        elif kind in ("death", "restart"):
            name = soak.dice.choice(list(soak.processes))
            await asyncio.to_thread(soak.stop, name, signal.SIGKILL if kind == "death" else signal.SIGTERM)
            soak.deaths += kind == "death"
            soak.start(name)
        await asyncio.sleep(TROUBLE_SECONDS)
        await asyncio.to_thread(soak.tell, "faults", {})


def settled(soak: Soak) -> list[str]:
    """Let everything come to rest, decide conflicts, compare; what is wrong."""
    time.sleep(QUIET_SECONDS)
    for name in list(soak.processes):
        soak.stop(name, signal.SIGTERM)
    soak.run("sync", "customer")
    soak.run("resolve", "customer", "--all", "--use", "newest")
    soak.run("retry", "customer")
    soak.run("sync", "customer")
    again = soak.run("sync", "customer")["mappings"]["CUSTOMER"]
    found = soak.run("verify", "customer")
    wrong = [str(one) for name in ("differences", "duplicates", "orphans") for one in found[name]]
    running = [job["id"] for job in soak.run("jobs", "--limit", "1000")["jobs"] if job["status"] == "running"]
    wrong += [f"jobs are said to run: {running}"] if running else []
    return wrong + ([f"it does not come to rest: {again}"] if again["write_requests"] else [])


def main() -> int:
    """Soak; 1 when something is wrong at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="koppel-soak-") as name, start_sandbox(customers=CUSTOMERS) as sandbox:
        soak = set_up(Path(name), sandbox, options.seed)
        soak.run("full", "--yes")
        soak.tell("webhooks", {"delay": 0.2, "minute": 1.0})
        for process_name in ("serve", "worker"):
            soak.start(process_name)
        until = time.monotonic() + options.minutes * 60
        try:
            asyncio.run(_together(soak, until))
            wrong = settled(soak)
        finally:
            for process in soak.processes.values():
                process.kill()
        jobs = len(soak.run("jobs", "--limit", "100000")["jobs"])
        print(f"{soak.edits} edits, {soak.deaths} deaths, {jobs} jobs; wrong: {len(wrong)}")
        print(*wrong[:20], sep="\n")
    return 1 if wrong else 0


async def _together(soak: Soak, until: float) -> None:
    sides: tuple[Side, Side] = ("business_central", "dataverse")
    await asyncio.gather(*(people(soak, side, until) for side in sides), trouble(soak, until))


def set_up(folder: Path, sandbox: SandboxProcess, seed: int, *, told_at: int | None = None) -> Soak:
    """A company, and where its systems shall tell of changes: where ``serve`` will be, or at another port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    os.environ |= {SECRET: KOPPEL.secret, WEBHOOK_SECRET: "known to both"}
    for person in PEOPLE.values():
        os.environ[f"SECRET_OF_{person.client_id.upper()}"] = person.secret
    configure(folder, sandbox)
    with (folder / "koppel.yaml").open("a") as config:
        url = f"http://127.0.0.1:{told_at or port}"
        config.write(f"webhooks: {{url: '{url}', secret: {{env: {WEBHOOK_SECRET}}}}}\n")
    return Soak(folder, sandbox, port, seed)


if __name__ == "__main__":
    sys.exit(main())
