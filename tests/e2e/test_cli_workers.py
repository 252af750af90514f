"""Workers as an administrator runs them: the schedule, stopping, dying in mid-job, serving."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
import requests
from command_line import SECRET, Shell, open_shell

from koppel.sandbox.tokens import KOPPEL

NEW = 1_500
MANY = 12_000
WRONG_CLOCK = str(Path(__file__).parents[1] / "wrong_clock.py")


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    with open_shell() as shell:
        shell.run("full", "--yes", "--keep-creating")
        shell.run("schedule", "hold", "all")
        yield shell


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.1)


Working = subprocess.Popen[str]


@contextmanager
def at_work(shell: Shell, *words: str, ahead: float = 0) -> Iterator[Working]:
    """A process beside the commands that are typed, whose clock may be off by some seconds."""
    command = [sys.executable, *([WRONG_CLOCK, str(ahead)] if ahead else ["-m", "koppel.cli"]), *words]
    env = {**os.environ, SECRET: KOPPEL.secret}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=shell.folder, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


def stopped(working: Working) -> str:
    """What a worker told in all, that is told to stop."""
    working.terminate()
    _, told = working.communicate(timeout=60)
    assert working.returncode == 0, told
    assert "stopped; what is due is for the next worker" in told
    return told


def entry(shell: Shell, name: str) -> dict[str, object]:
    found: dict[str, object] = shell.json("schedule", "list", name)["schedule"][name]
    return found


def test_every_mapping_has_an_entry(shell: Shell) -> None:
    entries = shell.json("schedule")["schedule"]
    assert entries["CUSTOMER"]["every"] == 30
    assert entries["SALESPEOPLE"]["inactivity"] == 1440
    assert {one["state"] for one in entries.values()} == {"on hold"}
    assert "CUSTOMER" in shell.run("schedule").out


def test_entries_are_changed(shell: Shell) -> None:
    shell.run("schedule", "set", "customer", "contact", "--every", "0 6 * * mon-fri", "--inactivity", "0")
    assert [entry(shell, "CONTACT")[key] for key in ("every", "inactivity")] == ["0 6 * * mon-fri", 0]
    shell.run("schedule", "set", "customer", "--every", "5")
    assert [entry(shell, "CUSTOMER")[key] for key in ("every", "inactivity")] == [5, 0]
    shell.run("schedule", "set", "all", "--as-in-file")
    assert [entry(shell, "CUSTOMER")[key] for key in ("every", "inactivity")] == [30, 720]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("set", "customer", "--every", "often"), "'often' is neither minutes from 1 on nor a cron expression"),
        (("set", "customer", "--every", "0"), "'0' is neither"),
        (("set", "customer"), "Write --every, --inactivity or --queue"),
        (("set", "customer", "--every", "5", "--as-in-file"), "Write --every, --inactivity or --queue"),
        (("set", "customer", "--queue", "one,two"), "'one,two' is no name of a queue"),
        (("hold", "nothing like it"), "there is no mapping"),
        (("hold", "postedsalesline-inv"), "there is no mapping"),
        (("run", "customer"), "CUSTOMER: on hold"),
    ],
)
def test_what_cannot_be_meant_is_refused(shell: Shell, words: tuple[str, ...], told: str) -> None:
    outcome = shell.run("schedule", *words)
    assert outcome.status == 2
    assert told in " ".join(outcome.err.replace("│", " ").split())
    assert entry(shell, "CUSTOMER")["every"] == 30


def test_a_worker_runs_what_is_resumed_and_stops_when_told(shell: Shell) -> None:
    with at_work(shell, "worker") as working:
        shell.run("schedule", "resume", "currency")
        until(lambda: entry(shell, "CURRENCY")["last_run"] is not None)
        assert "CURRENCY: " in stopped(working)


def test_a_worker_serves_the_queues_that_it_is_told_to(shell: Shell) -> None:
    shell.run("schedule", "set", "currency", "--queue", "quick")
    assert shell.run("worker", "--queues", "quick,").status == 2
    with at_work(shell, "worker", "--queues", "quick, night") as working:
        told = shell.run("schedule", "resume", "currency", "salespeople")
        assert "no worker serves the queue default, where 1 mappings wait" in told.err
        until(lambda: shell.json("jobs", "--limit", "1")["jobs"][0]["queue"] == "quick")
        asked = shell.run("schedule", "workers", "--json")
        assert asked.status == 1, "nobody serves the queue of SALESPEOPLE"
        assert [(one["number"], one["queues"]) for one in asked.data["workers"]] == [(working.pid, ["night", "quick"])]
        assert {one["queue"]: one["workers"] for one in asked.data["queues"]} == {"default": 0, "night": 1, "quick": 1}
        assert "from quick, night" in stopped(working)
    assert entry(shell, "SALESPEOPLE")["last_run"] is None
    shell.run("schedule", "hold", "all")
    shell.run("schedule", "set", "all", "--as-in-file")


def test_another_worker_takes_over_from_one_that_is_killed(shell: Shell) -> None:
    there = accounts(shell)
    shell.add_all("business_central", "customers", [{"displayName": f"Customer {n}"} for n in range(NEW)])
    shell.tell("faults", {"dataverse": {"latency": 0.3}, "business_central": {"latency": 0.3}})
    before = shell.writes()
    with at_work(shell, "worker") as first, at_work(shell, "worker") as second:
        shell.run("schedule", "resume", "customer")
        until(lambda: shell.writes() > before + 1)
        (job,) = [job for job in shell.json("jobs")["jobs"] if job["status"] == "running"]
        dying = next(process for process in (first, second) if process.pid == job["process"])
        dying.kill()
        killed = time.time()
        until(lambda: entry(shell, "CUSTOMER")["job"] is not None)
        shell.tell("faults", {})
        stopped(second if dying is first else first)
    jobs = {one["status"]: one for one in shell.json("jobs")["jobs"] if one["id"] >= job["id"]}
    assert jobs["interrupted"]["id"] == job["id"]
    assert datetime.fromisoformat(jobs["done"]["started"]).timestamp() - killed < 15
    shell.run("sync", "customer")
    assert shell.json("verify", "customer")["sound"]
    assert accounts(shell) - there == NEW


def accounts(shell: Shell) -> int:
    rows: dict[str, int] = requests.get(f"{shell.sandbox.base_url}/sandbox/state").json()["dataverse"]["rows"]
    return rows["account"]


def test_workers_have_a_hand_in_a_full_synchronisation() -> None:
    with open_shell(customers=MANY) as shell:
        shell.run("schedule", "hold", "all")
        with at_work(shell, "worker") as working:
            shell.run("schedule", "resume", "currency")
            until(lambda: entry(shell, "CURRENCY")["last_run"] is not None)
            there = accounts(shell)
            told = shell.run("full", "--yes")
            (job,) = shell.json("jobs", "--mapping", "customer", "--type", "full", "--limit", "1")["jobs"]
            assert len(job["workers"]) == 2
            assert job["workers"][1].endswith(f" {working.pid}")
            stopped(working)
        assert "other workers did" in told.out
        assert accounts(shell) - there > MANY * 0.9
        assert shell.json("verify", "customer")["sound"]


def test_what_is_served(shell: Shell) -> None:
    port = free_port()
    with at_work(shell, "serve", "--port", str(port)) as working:
        until(lambda: _answers(f"http://127.0.0.1:{port}/ready"))
        assert requests.get(f"http://127.0.0.1:{port}/health").json() == {"status": "ok"}
        assert "koppel_jobs_total" in requests.get(f"http://127.0.0.1:{port}/metrics").text
        assert f"serving on http://127.0.0.1:{port}" in stopped(working)


def test_serve_may_leave_the_work_to_others(shell: Shell) -> None:
    port = free_port()
    with (
        at_work(shell, "serve", "--port", str(port), "--concurrency", "0") as serving,
        at_work(shell, "worker") as other,
    ):
        until(lambda: _answers(f"http://127.0.0.1:{port}/ready"))
        shell.run("schedule", "resume", "currency")
        until(lambda: _answers(f"http://127.0.0.1:{port}/working"))
        # One that an earlier test killed counts for half a minute still.
        workers = {one["number"] for one in shell.json("schedule", "workers")["workers"]}
        assert (other.pid in workers, serving.pid in workers) == (True, False)
        shell.run("schedule", "hold", "currency")
        stopped(other)
        assert "other workers run what is due" in stopped(serving)


def _phone(shell: Shell) -> object:
    return shell.get("business_central", "customers", "displayName", "Told by a webhook", "phoneNumber").values[0]


def _is_told(shell: Shell) -> bool:
    """Whether both systems tell of changes by now."""
    told = requests.get(f"{shell.sandbox.base_url}/sandbox/webhooks").json()
    return bool(told["subscriptions"] > 10 and told["steps"] > 10)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def test_an_edit_that_is_told_arrives_within_seconds(shell: Shell) -> None:
    port = free_port()
    with (shell.folder / "koppel.yaml").open("a") as config:
        config.write(f"webhooks: {{url: 'http://127.0.0.1:{port}', secret: {{env: KOPPEL_WEBHOOK_SECRET}}}}\n")
    os.environ["KOPPEL_WEBHOOK_SECRET"] = "known to both"
    shell.tell("webhooks", {"delay": 0.1})
    shell.run("sync", "customer")
    with at_work(shell, "serve", "--port", str(port)) as working:
        shell.run("schedule", "resume", "customer")
        until(lambda: entry(shell, "CUSTOMER")["state"] == "inactive" and _is_told(shell))
        there = accounts(shell)
        shell.add("business_central", "customers", displayName="Told by a webhook")
        told = time.monotonic()
        until(lambda: accounts(shell) == there + 1)
        assert time.monotonic() - told < 15
        shell.edit("dataverse", "account", "name", "Told by a webhook", telephone1="555-0199")
        told = time.monotonic()
        until(lambda: _phone(shell) == "555-0199")
        assert time.monotonic() - told < 15
        stopped(working)
    del os.environ["KOPPEL_WEBHOOK_SECRET"]
