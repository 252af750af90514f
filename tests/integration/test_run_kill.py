"""Real processes, really killed (SIGKILL) in the middle of a synchronisation, one after the other."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from world import new_world

from koppel.sandbox.process import SandboxProcess, start_sandbox
from koppel.sandbox.seed_business_central import COMPANY
from koppel.store import couplings, intents, jobs
from koppel.store.database import Database

CUSTOMERS = 20
DEATHS = (
    ("InsertOptionValue", "after"),
    ('/customers","', "after"),
    ("accounts/Microsoft.Dynamics.CRM.CreateMultiple", "after"),
    ("contacts/Microsoft.Dynamics.CRM.CreateMultiple", ""),
)
"""What each process is about to send, or has sent, when it dies."""


def live(sandbox: SandboxProcess, database: Database, deadly: str = "", when: str = "") -> tuple[int, Any]:
    """Let a process synchronise everything; its exit status and what it told."""
    script = str(Path(__file__).parent / "mortal.py")
    command = [sys.executable, script, sandbox.base_url, database.url, deadly, when]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode, json.loads(ended.stdout or "null")


def rows(sandbox: SandboxProcess) -> dict[str, dict[str, int]]:
    """How many rows each table of both systems has."""
    with urllib.request.urlopen(f"{sandbox.base_url}/sandbox/state", timeout=10) as answer:
        said = json.load(answer)
    return {name: said[name]["rows"] for name in ("business_central", "dataverse")}


async def expected(database: Database) -> dict[str, dict[str, int]]:
    """The same when nobody dies."""
    async with new_world(database, customers=CUSTOMERS) as world:
        await world.sync_all(full=True)
        await world.sync_all(full=True)
        await world.forget()
        stores = world.sandbox.business_central.companies[COMPANY].stores
        tables = world.sandbox.dataverse.tables
        return {
            "business_central": {name: len(store.rows) for name, store in stores.items() if store.rows},
            "dataverse": {name: len(table.rows) for name, table in tables.items() if table.rows},
        }


async def test_killed_again_and_again(database: Database) -> None:
    undisturbed = await expected(database)
    with start_sandbox(customers=CUSTOMERS) as sandbox:
        for deadly, when in DEATHS:
            status, told = live(sandbox, database, deadly, when)
            assert (status, told) == (-signal.SIGKILL, None), (deadly, told)
        status, _ = live(sandbox, database)
        assert status == 0
        status, told = live(sandbox, database)
        assert {mapping: writes for mapping, writes in told if writes} == {}
        assert rows(sandbox) == undisturbed
    async with database.connect() as connection:
        assert await couplings.count(connection, "CUSTOMER") > CUSTOMERS - 3
        assert await intents.unsettled(connection, "CUSTOMER") == []
        ended = Counter(job.status for job in await jobs.recent(connection, limit=100))
        assert (ended["interrupted"], ended["running"]) == (len(DEATHS), 0)
