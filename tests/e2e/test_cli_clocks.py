"""Workers whose clocks are minutes off work like any other: schedule, locks, taking over, results."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from command_line import Shell, open_shell
from test_cli_workers import accounts, at_work, entry, stopped, until

from koppel.jobs.queue import STALLED_SECONDS

NEW = 500


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    with open_shell() as shell:
        shell.run("full", "--yes", "--keep-creating")
        shell.run("schedule", "hold", "all")
        yield shell


def running(shell: Shell) -> list[int]:
    """The processes that are at a job."""
    return [job["process"] for job in shell.json("jobs")["jobs"] if job["status"] == "running"]


def moment(text: object) -> datetime:
    return datetime.fromisoformat(str(text))


def clock_of(log: str) -> timedelta:
    """How far the clock of a process was ahead, by the first line of its log, a while ago."""
    return datetime.strptime(log[:19], "%Y-%m-%d %H:%M:%S").astimezone() - datetime.now(UTC)


def test_workers_whose_clocks_are_off(shell: Shell) -> None:
    """One is five minutes ahead and is killed in mid-run; one is five minutes behind and goes on."""
    there, began = accounts(shell), datetime.now(UTC)
    before = max(job["id"] for job in shell.json("jobs")["jobs"])
    shell.add_all("business_central", "customers", [{"displayName": f"Customer {n}"} for n in range(NEW)])
    shell.tell("faults", {"dataverse": {"latency": 1}, "business_central": {"latency": 1}})
    with at_work(shell, "worker", ahead=300) as dying:
        shell.run("schedule", "resume", "customer")
        until(lambda: running(shell) == [dying.pid])
        with at_work(shell, "worker", ahead=-300) as heir:
            time.sleep(STALLED_SECONDS + 2)
            assert running(shell) == [dying.pid], "who is alive keeps its job"
            told = shell.run("sync", "customer")
            assert told.status == 1
            assert "CUSTOMER is held by job" in " ".join(told.err.split())
            dying.kill()
            killed = datetime.now(UTC)
            assert clock_of(dying.communicate()[1]) > timedelta(minutes=4)
            until(lambda: running(shell) == [heir.pid])
            shell.tell("faults", {})
            until(lambda: running(shell) == [])
            assert clock_of(stopped(heir)) < timedelta(minutes=-5)
    interrupted, done = sorted((j for j in shell.json("jobs")["jobs"] if j["id"] > before), key=lambda j: j["id"])
    assert [interrupted["status"], done["status"]] == ["interrupted", "done"]
    times = [moment(job[name]) for job in (interrupted, done) for name in ("started", "finished")]
    assert sorted(moments := [began, *times, datetime.now(UTC)]) == moments
    assert moment(done["started"]) - killed < timedelta(seconds=15)
    now = entry(shell, "CUSTOMER")
    assert now["state"] == "ready"
    assert timedelta(minutes=29) < moment(now["next_run"]) - datetime.now(UTC) <= timedelta(minutes=30)
    shell.run("schedule", "hold", "customer")
    again = shell.json("sync", "customer")["mappings"]["CUSTOMER"]
    assert again["write_requests"] == 0
    assert shell.json("verify", "customer")["sound"]
    assert accounts(shell) - there == NEW
