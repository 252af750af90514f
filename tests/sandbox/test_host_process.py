"""The sandbox as a process: starts, answers, breaks as told, and is gone afterwards, whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import msal
import pytest
import requests

from koppel.errors import KoppelError
from koppel.sandbox.faults import Faults, SystemFaults
from koppel.sandbox.process import SandboxProcess, start_sandbox
from koppel.sandbox.tokens import ALICE, KOPPEL, User

Patch = pytest.MonkeyPatch

ACCOUNTS = "/dataverse/api/data/v9.2/accounts"


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxProcess]:
    with start_sandbox(customers=50) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: SandboxProcess) -> Iterator[SandboxProcess]:
    yield running
    Client(running).control("PUT", "faults", {})


class Client:
    """A plain HTTP client, logged in as somebody."""

    def __init__(self, sandbox: SandboxProcess, user: User = KOPPEL) -> None:
        self.base_url = sandbox.base_url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(sandbox.ca_file or True)
        form = {"grant_type": "client_credentials", "client_id": user.client_id, "client_secret": user.secret}
        answer = self.session.post(
            f"{self.base_url}/contoso/oauth2/v2.0/token", data=form | {"scope": f"{self.base_url}/.default"}
        )
        self.session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def get(self, path: str) -> Any:
        answer = self.session.get(self.base_url + path)
        answer.raise_for_status()
        return answer.json()

    def count_accounts(self) -> int:
        return len(self.get(f"{ACCOUNTS}?$select=accountid")["value"])

    def create_account(self, name: str) -> int:
        return self.session.post(self.base_url + ACCOUNTS, json={"name": name}).status_code

    def control(self, method: str, what: str, body: Any = None) -> Any:
        answer = self.session.request(method, f"{self.base_url}/sandbox/{what}", json=body)
        answer.raise_for_status()
        return answer.json()


def gone(pid: int) -> bool:
    """Whether no process has the number any more; waits up to five seconds."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def test_both_systems_answer(sandbox: SandboxProcess) -> None:
    client = Client(sandbox)
    who = client.get("/dataverse/api/data/v9.2/WhoAmI")
    [company] = client.get("/bc/v2.0/production/api/v2.0/companies")["value"]
    own = f"/bc/v2.0/production/api/koppel/sync/v1.0/companies({company['id']})"
    customers = client.get(f"{own}/customers?$top=3")["value"]
    assert who["UserId"] == KOPPEL.id
    assert company["name"] == "AdventureWorks"
    assert [row["number"] for row in customers] == ["AW00000001", "AW00000002", "AW00000003"]
    assert customers[0]["primaryContactNo"] == "CT000933"


def test_without_a_token_neither_answers(sandbox: SandboxProcess) -> None:
    for path in (ACCOUNTS, "/bc/v2.0/production/api/v2.0/companies"):
        assert requests.get(sandbox.base_url + path).status_code == 401


def test_edits_are_attributed_to_whoever_made_them(sandbox: SandboxProcess) -> None:
    alice = Client(sandbox, ALICE)
    alice.create_account("Written by Alice")
    [account] = alice.get(f"{ACCOUNTS}?$filter=name eq 'Written by Alice'")["value"]
    assert account["_modifiedby_value"] == ALICE.id


def test_the_state_is_an_independent_witness(sandbox: SandboxProcess) -> None:
    client = Client(sandbox)
    before = client.control("GET", "state")
    client.create_account("One more")
    client.count_accounts()
    after = client.control("GET", "state")
    assert after["dataverse"]["requests"] - before["dataverse"]["requests"] == 2
    assert after["dataverse"]["write_requests"] - before["dataverse"]["write_requests"] == 1
    assert after["dataverse"]["rows"]["account"] - before["dataverse"]["rows"]["account"] == 1
    assert after["business_central"] == before["business_central"]
    assert after["business_central"]["rows"]["customers"] == 50
    assert after["seconds"] > before["seconds"]


def test_a_lost_answer_closes_the_connection_and_the_row_is_there(sandbox: SandboxProcess) -> None:
    client = Client(sandbox)
    before = client.count_accounts()
    client.control("PUT", "faults", {"dataverse": {"lost": 1}})
    with pytest.raises(requests.ConnectionError):
        client.create_account("Lost")
    client.control("PUT", "faults", {})
    assert client.count_accounts() == before + 1


def test_unavailable_answers_503_and_the_row_is_not_there(sandbox: SandboxProcess) -> None:
    client = Client(sandbox)
    before = client.count_accounts()
    client.control("PUT", "faults", {"dataverse": {"unavailable": 1, "retry_after": 3}})
    answer = client.session.post(sandbox.base_url + ACCOUNTS, json={"name": "Refused"})
    client.control("PUT", "faults", {})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "3")
    assert client.count_accounts() == before


def test_limits_can_be_set_small_and_lifted(sandbox: SandboxProcess) -> None:
    client = Client(sandbox, ALICE)
    client.control("PUT", "limits", {"dataverse": {"requests": 2, "window": 30}, "business_central": {"requests": 1}})
    try:
        statuses = [client.session.get(f"{sandbox.base_url}{ACCOUNTS}?$top=1").status_code for _ in range(4)]
        companies = f"{sandbox.base_url}/bc/v2.0/production/api/v2.0/companies"
        more = [client.session.get(companies).status_code for _ in range(2)]
    finally:
        shown = client.control("PUT", "limits", {})
    assert 429 in statuses
    assert more == [200, 429]
    assert shown == {"dataverse": None, "business_central": None}
    assert client.session.get(f"{sandbox.base_url}{ACCOUNTS}?$top=1").status_code == 200


def test_published_limits_are_an_empty_object(sandbox: SandboxProcess) -> None:
    client = Client(sandbox)
    shown = client.control("PUT", "limits", {"dataverse": {}, "business_central": {}})
    client.control("PUT", "limits", {})
    assert (shown["dataverse"]["requests"], shown["dataverse"]["concurrent"]) == (6000, 52)
    assert (shown["business_central"]["requests"], shown["business_central"]["at_once"]) == (6000, 5)


@pytest.mark.parametrize("what", ["faults", "limits"])
def test_what_is_not_understood_is_refused_with_a_reason(sandbox: SandboxProcess, what: str) -> None:
    answer = requests.put(f"{sandbox.base_url}/sandbox/{what}", json={"business_central": {"surprise": 1}})
    assert answer.status_code == 400
    assert "surprise" in answer.json()["error"]


def test_a_moved_clock_ends_tokens() -> None:
    with start_sandbox(data="empty") as sandbox:
        client = Client(sandbox)
        assert client.count_accounts() == 0
        before = client.control("GET", "clock")["now"]
        assert client.control("POST", "clock", {"advance": 3700})["now"] > before
        assert client.session.get(sandbox.base_url + ACCOUNTS).status_code == 401
        assert Client(sandbox).count_accounts() == 0
        assert requests.post(f"{sandbox.base_url}/sandbox/clock", json={"advance": -1}).status_code == 400


def test_each_system_tells_the_time_by_a_clock_of_its_own() -> None:
    def clock(client: Client, path: str) -> datetime:
        return parsedate_to_datetime(client.session.get(client.base_url + path).headers["Date"])

    with start_sandbox(data="empty") as sandbox:
        client = Client(sandbox)
        assert client.control("PUT", "clock", {"dataverse": -300})["ahead"] == {
            "dataverse": -300,
            "business_central": 0,
        }
        behind = clock(client, "/bc/v2.0/Production/api/v2.0/companies") - clock(client, ACCOUNTS)
        assert timedelta(seconds=298) <= behind <= timedelta(seconds=302)
        assert requests.put(f"{sandbox.base_url}/sandbox/clock", json={"mars": 1}).status_code == 400


@pytest.mark.parametrize(("after", "https"), [(False, False), (True, True)])
def test_kill_ends_the_process_at_its_request(after: bool, https: bool, tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with start_sandbox(data="empty", https=https) as sandbox:
        client = Client(sandbox)
        client.control("PUT", "faults", {"dataverse": {"kill": {"request": 2, "after": after}}})
        assert client.create_account("First") == 204
        with pytest.raises(requests.ConnectionError):
            client.create_account("Second")
        assert sandbox.process.wait(5) == 137
        client.session.close()
    assert list(tmp_path.iterdir()) == []


def test_faults_may_be_given_at_the_start() -> None:
    with start_sandbox(data="empty", faults=Faults(dataverse=SystemFaults(unavailable=1.0))) as sandbox:
        assert Client(sandbox).session.get(sandbox.base_url + ACCOUNTS).status_code == 503


def test_msal_gets_a_token_over_https_and_the_systems_take_it() -> None:
    with start_sandbox(data="empty", https=True) as sandbox:
        assert sandbox.base_url.startswith("https://")
        session = requests.Session()
        session.trust_env = False
        session.verify = str(sandbox.ca_file)
        application = msal.ConfidentialClientApplication(
            KOPPEL.client_id,
            client_credential=KOPPEL.secret,
            authority=f"{sandbox.base_url}/contoso",
            instance_discovery=f"{sandbox.base_url}/common/discovery/instance",
            http_client=session,
        )
        token = application.acquire_token_for_client([f"{sandbox.dataverse_url}/.default"])["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        for path in (ACCOUNTS, "/bc/v2.0/production/api/v2.0/companies"):
            assert session.get(sandbox.base_url + path, headers=headers).status_code == 200
        session.close()


def test_it_starts_and_stops_within_seconds_and_leaves_nothing() -> None:
    began = time.monotonic()
    with start_sandbox(data="empty", https=True) as sandbox:
        ca_file = sandbox.ca_file
        assert ca_file is not None
        assert ca_file.exists()
        session = Client(sandbox).session
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 3
    assert time.monotonic() - began < 15
    assert gone(sandbox.process.pid)
    assert not ca_file.parent.exists()
    session.close()


def test_it_is_stopped_when_the_block_fails() -> None:
    with pytest.raises(ZeroDivisionError), start_sandbox(data="empty") as sandbox:
        print(1 / 0)
    assert gone(sandbox.process.pid)


PARENT = """
import os, signal, sys, time
from koppel.sandbox.process import start_sandbox
with start_sandbox(data="empty", https=True) as sandbox:
    print(sandbox.process.pid, sandbox.ca_file, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_dies_with_its_parent() -> None:
    parent = subprocess.run([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, check=False)
    pid, ca_file = parent.stdout.split()
    assert parent.returncode == -signal.SIGKILL
    assert gone(int(pid))
    assert not Path(ca_file).parent.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_even_with_a_request_in_hand(number: signal.Signals) -> None:
    with start_sandbox(data="empty", faults=Faults(dataverse=SystemFaults(latency=60))) as sandbox:
        client = Client(sandbox)
        with pytest.raises(requests.ReadTimeout):
            client.session.get(sandbox.base_url + ACCOUNTS, timeout=0.2)
        began = time.monotonic()
        os.kill(sandbox.process.pid, number)
        assert sandbox.process.wait(5) == 0
        assert time.monotonic() - began < 3


def test_a_sandbox_that_cannot_start_says_so() -> None:
    with start_sandbox(data="empty") as sandbox:
        port = int(sandbox.base_url.rpartition(":")[2])
        with pytest.raises(KoppelError, match="before it was ready"), start_sandbox(data="empty", port=port):
            pass


def test_the_module_prints_one_line_when_ready() -> None:
    command = [sys.executable, "-m", "koppel.sandbox", "--data", "empty", "--until-stdin-closes"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        process.stdin.close()
        assert process.wait(5) == 0
        assert process.stdout.read() == ""
    assert line["base_url"].startswith("http://127.0.0.1:")
    assert (line["ca_file"], line["pid"]) == (None, process.pid)


def test_the_pace_of_webhooks_is_told_and_taken(sandbox: SandboxProcess) -> None:
    client = Client(sandbox)
    assert client.control("GET", "webhooks") == {
        **{"delay": 30.0, "most": 1000, "minute": 60.0, "subscriptions": 0},
        **{"steps": 0, "posted": 0, "failed": 0},
    }
    assert client.control("PUT", "webhooks", {"delay": 0.5})["delay"] == 0.5


def test_it_starts_with_as_many_invoices_as_are_asked_for() -> None:
    with start_sandbox(customers=800, invoices=7) as sandbox:
        client = Client(sandbox)
        assert client.control("GET", "state")["business_central"]["rows"]["postedSalesInvoices"] == 7
        assert sum(client.control("GET", "invoices").values()) == 7
