"""Two companies share one Dataverse, where a team owns what they make, as their ``koppel.yaml`` say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from command_line import Shell, open_folder
from two_companies import FABRIKAM, TEAM

from koppel.odata.records import Scalar
from koppel.sandbox.process import SandboxProcess
from koppel.sandbox.seed_business_central import COMPANY

SETTINGS = "company_stamp: all\nownership: {model: team, team: Sales}\n"
MAPPINGS = ("CURRENCY", "CUSTOMER", "VENDOR", "POSTEDSALESINV-INV")


@pytest.fixture(scope="module")
def offices() -> Iterator[dict[str, Shell]]:
    """A folder of each company."""
    command = [sys.executable, str(Path(__file__).with_name("two_companies.py"))]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process,
        ExitStack() as folders,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        sandbox = SandboxProcess(process.stdout.readline().decode().strip(), None, process)
        try:
            yield {
                company: folders.enter_context(open_folder(sandbox, company, SETTINGS))
                for company in (COMPANY, FABRIKAM)
            }
        finally:
            process.stdin.close()


def owner_and_company(shell: Shell, table: str, key: str, value: str) -> tuple[Scalar, ...]:
    """Who owns the row, and whose it is."""
    return shell.get("dataverse", table, key, value, "ownerid", "bcbi_companyid").values


@pytest.mark.rule("GEN-02")
@pytest.mark.rule("GEN-04")
@pytest.mark.rule("GEN-06")
@pytest.mark.rule("GEN-07")
def test_rows_belong_to_the_team_and_to_their_company(offices: dict[str, Shell]) -> None:
    told = offices[COMPANY].run("check")
    assert (told.status, "SALESPEOPLE: off" in told.out) == (0, True), told
    stamps = set()
    for company, shell in offices.items():
        done = shell.run("sync", *MAPPINGS, "--full")
        assert done.status == 0, done
        [row] = {
            owner_and_company(shell, "account", "name", f"Adatum of {company}"),
            owner_and_company(shell, "account", "name", f"Litware of {company}"),
            owner_and_company(shell, "invoice", "invoicenumber", f"PS-{company}"),
        }
        assert row[0] == TEAM
        stamps.add(row[1])
    assert len(stamps - {None}) == 2
