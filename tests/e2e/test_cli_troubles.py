"""What goes wrong: one clear message with a remedy, the right exit status, nothing half written."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from command_line import SECRET, Outcome, Shell, open_shell

from koppel.sandbox.tokens import KOPPEL

MAPPINGS = ("SALESPEOPLE", "CURRENCY", "PAYMENT TERMS", "SHIPMENT METHOD", "SHIPPING AGENT", "CUSTOMER", "CONTACT")
OWN_MAPPING = """\
mapping: {name}
business_central: {{table: {table}, key: code}}
dataverse: {{table: uomschedule, key: name, filter: "{filter}"}}
direction: to_dataverse
fields:
  - {{business_central: code, dataverse: {column}, code: true}}
"""


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    with open_shell(customers=10) as shell:
        shell.run("full", *(name for name in MAPPINGS if name != "CONTACT"), "--yes")
        yield shell


@pytest.fixture
def config(shell: Shell, tmp_path: Path) -> Path:
    """Another koppel.yaml, to spoil: same systems, same database, a folder ``own`` for mappings."""
    path = tmp_path / "koppel.yaml"
    text = (shell.folder / "koppel.yaml").read_text("utf-8")
    text = text.replace("mappings: []", "mappings: [own]").replace("folder: .koppel", f"folder: {shell.folder}/.koppel")
    path.write_text(text, "utf-8")
    (tmp_path / "own").mkdir()
    return path


def one_message(outcome: Outcome, status: int, *parts: str) -> None:
    """Exactly one error, with these words in it; no traceback, no log line."""
    assert outcome.status == status
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("error: ") == 1
    assert "Traceback" not in outcome.err
    assert [part for part in parts if part not in outcome.err] == []


def test_an_unreachable_server_is_named(shell: Shell, config: Path) -> None:
    text = config.read_text("utf-8").replace(f'"{shell.sandbox.base_url}/dataverse"', '"http://127.0.0.1:9/dataverse"')
    config.write_text(text, "utf-8")
    found = shell.run("check", "--config", str(config))
    assert found.status == 1
    assert "error   Dataverse: cannot reach http://127.0.0.1:9" in found.out
    assert "check the address in koppel.yaml" in found.out
    one_message(shell.run("sync", "customer", "--config", str(config)), 1, "cannot reach http://127.0.0.1:9")


def test_a_wrong_secret_is_told_once_and_never_shown(shell: Shell) -> None:
    outcome = shell.run("sync", "--json", env={SECRET: "guessed-by-somebody"})
    one_message(outcome, 1, "no token for application koppel of tenant sandbox", "client secret (it may have expired)")
    assert outcome.data["error"]["kind"] == "AuthenticationError"
    assert "guessed-by-somebody" not in outcome.out + outcome.err


def test_a_missing_secret_says_where_it_belongs(shell: Shell) -> None:
    one_message(shell.run("status", env={SECRET: ""}), 1, f"environment variable {SECRET}: there is no secret")


def test_a_missing_privilege_to_read_is_found_by_check(shell: Shell) -> None:
    shell.tell("privileges", {KOPPEL.id: ["prvReadAccount"]})
    try:
        found = shell.run("check")
        assert found.status == 1
        assert "error   CUSTOMER, Dataverse table account: " in found.out
        assert "prvReadAccount" in found.out
        assert "security role that holds the privilege" in found.out
        outcome = shell.run("sync", "customer")
        one_message(outcome, 1, "CUSTOMER", "prvReadAccount")
    finally:
        shell.tell("privileges", {})


def test_a_missing_privilege_to_write_fails_the_record_only(shell: Shell) -> None:
    shell.edit("business_central", "customers", "number", "AW00000001", displayName="Not Allowed")
    shell.tell("privileges", {KOPPEL.id: ["prvWriteAccount"]})
    try:
        outcome = shell.run("sync", "customer", "--record", "AW00000001", "--json")
        assert outcome.status == 1
        (failure,) = outcome.data["failures"]
        assert (failure["kind"], failure["record_name"]) == ("permission", "AW00000001")
    finally:
        shell.tell("privileges", {})
    assert shell.run("retry", "customer").status == 1, "the external salesperson's still fails"
    assert shell.get("dataverse", "account", "name", "Not Allowed").id


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"table": "unitOfMeasures"}, ("has no table 'unitOfMeasures'", "did you mean unitsOfMeasure?")),
        ({"column": "naem"}, ("own/mine.yaml:6", "table uomschedule has no column 'naem'", "did you mean name?")),
    ],
)
def test_an_unknown_table_or_column_is_named_with_its_place(
    shell: Shell, config: Path, values: dict[str, str], parts: tuple[str, ...]
) -> None:
    write_mapping(config, "mine.yaml", **values)
    found = shell.run("check", "--config", str(config))
    assert found.status == 1
    assert [part for part in parts if part not in found.out] == []
    before = shell.writes()
    one_message(shell.run("sync", "mine", "--config", str(config)), 1, *parts)
    assert shell.writes() == before


def test_what_the_standard_route_lacks_is_listed(shell: Shell, config: Path) -> None:
    config.write_text(config.read_text("utf-8").replace("route: koppel/sync/v1.0", "route: v2.0"), "utf-8")
    found = shell.run("check", "--config", str(config))
    assert found.status == 1
    assert "warning CUSTOMER: left out, the route lacks customers.faxNo (for fax)" in found.out
    assert "Business Central has no table 'shippingAgents'" in found.out


def write_mapping(config: Path, file: str, **values: str) -> None:
    said = {"name": "MINE", "table": "unitsOfMeasure", "filter": "", "column": "name"} | values
    (config.parent / "own" / file).write_text(OWN_MAPPING.format(**said), "utf-8")


def test_two_mappings_of_one_name_and_an_unreadable_filter_are_told_together(shell: Shell, config: Path) -> None:
    write_mapping(config, "a.yaml")
    write_mapping(config, "b.yaml", filter="statecode eq eq 0")
    outcome = shell.run("mappings", "--config", str(config))
    assert (outcome.status, outcome.out) == (1, "")
    assert "b.yaml:1: mapping `MINE` is defined in" in outcome.err
    assert "cannot read the filter" in outcome.err
    assert "b.yaml:3" in outcome.err


def test_a_value_too_long_for_the_other_side_is_not_cut(shell: Shell) -> None:
    name = str(shell.get("business_central", "customers", "number", "AW00000002", "displayName").values[0])
    shell.edit("dataverse", "account", "name", name, name="N" * 120)
    outcome = shell.run("sync", "customer", "--record", "AW00000002")
    assert outcome.status == 1
    assert "! CUSTOMER AW00000002: displayName has 120 characters, Business Central takes 100" in outcome.out
    assert "shorten it to 100 characters on the side where it was typed" in outcome.out
    assert shell.get("business_central", "customers", "number", "AW00000002", "displayName").values == (name,)


def test_an_unknown_option_code_leaves_the_option_empty_and_says_so(shell: Shell) -> None:
    shell.add("business_central", "paymentTerms", code="NET 99", displayName="Net 99 days")
    shell.edit("business_central", "customers", "number", "AW00000003", paymentTermsCode="NET 99")
    outcome = shell.run("sync", "customer", "--record", "AW00000003")
    assert outcome.status == 0
    assert "AW00000003: paymentTermsCode: 'NET 99' has no counterpart in PAYMENT TERMS" in outcome.out
    assert "left empty" in outcome.out
    name = str(shell.get("business_central", "customers", "number", "AW00000003", "displayName").values[0])
    assert shell.get("dataverse", "account", "name", name, "paymenttermscode").values == (None,)
    assert shell.run("sync", "payment terms", "customer", "--json").data["mappings"]["CUSTOMER"]["updated"] == 1
    assert shell.get("dataverse", "account", "name", name, "paymenttermscode").values != (None,)


def test_an_uncoupled_salesperson_holds_the_customer(shell: Shell) -> None:
    shell.edit("business_central", "customers", "number", "AW00000004", salespersonCode="EXTERN", displayName="Held")
    outcome = shell.run("sync", "customer", "--record", "AW00000004")
    assert outcome.status == 1
    assert "! CUSTOMER AW00000004: salespersonCode EXTERN is not coupled in SALESPEOPLE" in outcome.out
    assert "couple or synchronise EXTERN in SALESPEOPLE" in outcome.out
    waiting = shell.json("explain", "customer", "AW00000004")
    assert waiting["next"][0]["reason"] == "waits: salespersonCode EXTERN is not coupled in SALESPEOPLE"
    assert waiting["dataverse"]["name"] != "Held"


@pytest.mark.parametrize(
    ("words", "status", "part"),
    [
        (("sync", "custmer"), 2, "Did you mean `CUSTOMER`?"),
        (("sync", "--record", "AW00000001"), 2, "records belong to one mapping"),
        (("sync", "customer", "--direction", "left"), 2, "Write to_dataverse or from_dataverse."),
        (("sync", "customer", "--record", "AW99999999"), 1, "no record is called AW99999999"),
        (("apply", "koppel.yaml"), 2, "this is no plan"),
        (("explain", "customer", "AW99999999"), 2, "no record is called 'AW99999999'"),
        (("jobs", "99999"), 2, "there is no job 99999"),
    ],
)
def test_words_that_do_not_fit_are_told(shell: Shell, words: tuple[str, ...], status: int, part: str) -> None:
    one_message(shell.run(*words), status, part)


def test_typer_refuses_what_it_does_not_know(shell: Shell) -> None:
    assert shell.run("synchronise").status == 2
    assert shell.run("sync", "--fast").status == 2


def test_a_stopped_run_ends_cleanly_and_goes_on_later(shell: Shell) -> None:
    shell.tell("faults", {"dataverse": {"latency": 0.3}})
    try:
        stop(shell, signal.SIGTERM, 143)
        stop(shell, signal.SIGINT, 130)
    finally:
        shell.tell("faults", {})
    assert [job["status"] for job in shell.json("jobs", "--limit", "2")["jobs"]] == ["stopped", "stopped"]
    shell.run("sync", "contact", "--full")
    compared = shell.json("verify", "contact")
    assert compared["sound"]
    state = requests.get(f"{shell.sandbox.base_url}/sandbox/state").json()
    assert compared["compared"] == state["dataverse"]["rows"]["contact"] > 0


def stop(shell: Shell, number: signal.Signals, status: int) -> None:
    """Start creating contacts and send a signal while the first request that writes is under way."""
    before, began = shell.writes(), time.monotonic()
    typed = shell.start("sync", "contact", "--full")
    while shell.writes() == before:
        assert time.monotonic() - began < 30
        time.sleep(0.02)
    os.kill(typed.process, number)
    outcome = typed.end()
    assert outcome.status == status
    assert "Traceback" not in outcome.err
