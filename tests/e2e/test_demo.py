"""The demo proves what it promises, on a good day and on a bad one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ALL, FEW = 18_849, 200
"""Customers of Adventure Works: what a person sees who types ``koppel demo``, and what is enough for trouble."""


def demo(*arguments: str) -> dict[str, Any]:
    """What ``koppel demo --json`` prints; it must end with status 0 and say nothing else."""
    command = [sys.executable, "-m", "koppel.cli", "demo", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def assert_proved(report: dict[str, Any], customers: int) -> None:
    assert report["customers"] == customers
    assert report["second_run_write_requests"] == 0
    assert report["lost_edits"] == 0
    assert report["duplicates"] == 0
    assert report["verify"]["differences"] == 0
    assert report["verify"]["compared"] > customers
    assert report["proved"]


def test_a_good_day() -> None:
    report = demo()
    assert_proved(report, ALL)
    assert report["full"]["CUSTOMER"]["created"] > 18_000
    assert report["full"]["POSTEDSALESLINE-INV"]["created"] > 1_000
    assert all(
        report["full"][name]["created"] for name in ("VENDOR", "ITEM-PRODUCT", "SALESPRC-PRODPRICE", "OPPORTUNITY")
    )
    assert [step["came"].rpartition(" is ")[2] for step in report["order"][1:]] == ["open", "paid"]
    assert {edit["expected"] for edit in report["edits"]} == {"carried", "agreed", "held", "left alone", "created"}
    assert {(conflict["field"]) for conflict in report["conflicts"]} == {"phoneNumber", "address"}
    assert report["sync"]["CUSTOMER"] | {"seconds": 0, "requests": 0} == {
        "created": 2,
        "updated": 2,
        "coupled": 0,
        "unchanged": report["sync"]["CUSTOMER"]["unchanged"],
        "skipped": report["sync"]["CUSTOMER"]["skipped"],
        "failed": 0,
        "conflicts": 2,
        "seconds": 0,
        "requests": 0,
    }


def test_a_bad_day(tmp_path: Path) -> None:
    """One request in twenty is answered 503, one in fifty carried out and never answered, and both systems throttle."""
    trouble = {"unavailable": 0.05, "retry_after": 0, "lost": 0.02}
    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps({"seed": 7, "dataverse": trouble, "business_central": trouble}))
    limits = tmp_path / "limits.json"
    few = {"requests": 30, "window": 1.0}
    limits.write_text(json.dumps({"dataverse": few, "business_central": few | {"retry_after": 1}}))
    assert_proved(demo("--customers", str(FEW), "--faults", str(faults), "--limits", str(limits)), FEW)


@pytest.mark.parametrize("arguments", [["--customers", "5"], ["--faults", "nowhere.json"]])
def test_what_cannot_be_shown_is_refused(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "koppel.cli", "demo", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
