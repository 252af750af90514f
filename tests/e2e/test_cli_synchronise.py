"""A day with the command line: check, review, synchronise, edit, preview, apply, decide, explain, compare.

The tests build on each other, in their order, as a day does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Shell, open_shell

from koppel.sandbox.tokens import ALICE, BOB, KOPPEL

COUNTERS = ("created", "updated", "coupled", "unchanged", "skipped", "failed", "conflicts")


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    with open_shell() as shell:
        yield shell


def test_check_finds_everything_in_order_and_writes_nothing(shell: Shell) -> None:
    outcome = shell.run("check")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.endswith("everything fits\n")
    assert "CUSTOMER: 19 fields" in outcome.out
    assert shell.writes() == 0


def test_mappings_are_told_with_their_fields(shell: Shell) -> None:
    names = [mapping["name"] for mapping in shell.json("mappings")["mappings"]]
    assert names.index("SALESPEOPLE") < names.index("CUSTOMER") < names.index("CONTACT")
    told = shell.run("mappings", "customer").out
    assert "statecode eq 0 and customertypecode eq 3" in told
    assert "lookup SALESPEOPLE, required" in told


def test_the_review_alone_changes_nothing(shell: Shell) -> None:
    review = {line["mapping"]: line for line in shell.json("full")["review"]}
    assert (review["CUSTOMER"]["recommendation"], review["CONTACT"]["recommendation"]) == ("couple", "full")
    assert review["CUSTOMER"]["business_central"] == {"records": 40, "more": False}
    assert shell.writes() == 0


def test_a_question_stays_where_a_person_can_read_it(shell: Shell) -> None:
    told = shell.on_terminal("full", "customer", question="to change a line", answer="n")
    question = told.index("to change a line")
    assert "nothing was run" in told[question:]
    assert "\x1b[2K" not in told[question : told.index("\n", question)], "the progress bar wiped the line away"


def test_full_synchronisation_creates_and_couples_and_names_what_failed(shell: Shell) -> None:
    outcome = shell.run("full", "--yes", "--json")
    customers, contacts = (outcome.data["mappings"][name] for name in ("CUSTOMER", "CONTACT"))
    assert set(COUNTERS) <= customers.keys()
    assert customers["created"] + customers["coupled"] + customers["failed"] == 41, "one is known to Dataverse only"
    assert customers["coupled"] > 0
    assert contacts["created"] > 40
    assert customers["updated"] >= contacts["created"] // 2, "customers got their primary contact at the end"
    assert set(customers["requests"]) == {"business_central", "dataverse"}
    failed = {failure["record_name"] for failure in outcome.data["failures"] if failure["mapping"] == "CUSTOMER"}
    assert failed == {"AW00000007", "AW00000017", "AW00000027"}
    assert outcome.status == 1


def test_lines_of_the_review_are_changed_and_run_again(shell: Shell) -> None:
    review = shell.json("full", "customer", "contact", "--line", "customer=nothing")["review"]
    assert [(line["action"], line["state"], line["wave"]) for line in review] == [
        ("nothing", "done", 1),
        ("full", "done", 2),
    ]
    assert shell.run("full", "--line", "customer=all").status == 2
    assert shell.json("full", "--continue")["mappings"] == {}
    again = shell.json("full", "--again", "contact", "--keep-creating")["mappings"]
    assert list(again) == ["CONTACT"]
    assert [shell.json("status", name)["mappings"][name]["creates"] for name in ("CUSTOMER", "CONTACT")] == [
        False,
        True,
    ]
    shell.run("full", "--again", "contact", "--no-keep-creating")
    assert not shell.json("status", "contact")["mappings"]["CONTACT"]["creates"]


def test_an_empty_selection_selects_nothing(shell: Shell, tmp_path: Path) -> None:
    before = shell.writes()
    (tmp_path / "none.txt").write_text("\n# nobody\n")
    for words in (("--records", "-"), ("--records", str(tmp_path / "none.txt")), ("--where", "number eq 'X'")):
        outcome = shell.run("sync", "customer", *words, "--json")
        assert (outcome.status, outcome.data["mappings"]["CUSTOMER"]["notices"]) == (0, ["nothing was selected"])
    assert shell.writes() == before


def test_a_second_run_writes_nothing(shell: Shell) -> None:
    before = shell.writes()
    outcome = shell.run("sync", "customer", "contact")
    assert (shell.writes(), outcome.status) == (before, 0)
    failed = shell.run("errors", "customer").out
    assert failed.count("salespersonCode EXTERN is not coupled in SALESPEOPLE") == 3, "they rest until it is"
    assert "records failed before and are left alone for now: koppel errors" in outcome.out
    retried = shell.run("retry", "customer")
    assert retried.status == 1
    assert "likewise" in retried.out


def test_everything_agrees(shell: Shell) -> None:
    outcome = shell.run("verify", "--json")
    assert outcome.status == 0
    assert outcome.data["sound"]
    assert outcome.data["compared"] > 150
    assert outcome.data["differences"] == outcome.data["duplicates"] == outcome.data["orphans"] == []


def test_an_edit_is_previewed_field_by_field_and_then_made(shell: Shell) -> None:
    shell.edit("business_central", "customers", "number", "AW00000001", displayName="A Better Bike Store")
    preview = shell.run("plan", "customer")
    assert preview.status == 2
    assert "displayName in Dataverse: A Bike Store -> A Better Bike Store" in preview.out
    outcome = shell.run("sync", "CUSTOMER", "--json")
    assert outcome.data["mappings"]["CUSTOMER"]["updated"] == 1
    assert shell.get("dataverse", "account", "name", "A Better Bike Store").id
    assert shell.run("plan", "customer", "--record", "AW00000001").out.strip() == "nothing to do"


def test_one_record_is_synchronised_alone(shell: Shell) -> None:
    shell.edit("business_central", "customers", "number", "AW00000002", displayName="Two")
    shell.edit("business_central", "customers", "number", "AW00000003", displayName="Three")
    outcome = shell.run("sync", "customer", "--record", "aw00000002", "--json")
    assert (outcome.status, outcome.data["mappings"]["CUSTOMER"]["updated"]) == (0, 1)
    plan = shell.json("plan", "customer")
    assert [action["name"] for action in plan["actions"] if action["kind"] == "update"] == ["AW00000003"]


def test_a_direction_leaves_the_other_side_alone(shell: Shell) -> None:
    shell.edit("dataverse", "account", "name", "Two", telephone1="555-0002")
    towards = shell.json("sync", "customer", "--direction", "to_dataverse")["mappings"]["CUSTOMER"]
    assert towards["updated"] == 1, "that is AW00000003"
    assert shell.get("business_central", "customers", "number", "AW00000002", "phoneNumber").values == ("",)
    back = shell.json("sync", "customer", "--record", "AW00000002")["mappings"]["CUSTOMER"]
    assert back["updated"] == 1
    assert shell.get("business_central", "customers", "number", "AW00000002", "phoneNumber").values == ("555-0002",)


def test_a_plan_in_a_file_is_carried_out_as_it_is(shell: Shell, tmp_path: Path) -> None:
    shell.edit("business_central", "customers", "number", "AW00000004", displayName="Four")
    file = str(tmp_path / "plan.json")
    assert shell.run("plan", "customer", "--out", file).status == 2
    assert shell.run("apply", file, "--json").data["mappings"]["CUSTOMER"]["updated"] == 1
    assert shell.get("dataverse", "account", "name", "Four").id


def test_a_plan_is_refused_when_a_side_moved(shell: Shell, tmp_path: Path) -> None:
    shell.edit("business_central", "customers", "number", "AW00000005", displayName="Five")
    file = str(tmp_path / "plan.json")
    shell.run("plan", "customer", "--out", file)
    shell.edit("business_central", "customers", "number", "AW00000005", displayName="Five and a half")
    before = shell.writes()
    outcome = shell.run("apply", file)
    assert outcome.status == 1
    assert "AW00000005: changed in Business Central since" in outcome.err
    assert shell.writes() == before
    assert shell.run("sync", "customer").out.count("AW00000005") == 0


def test_a_conflict_is_held_shown_and_decided(shell: Shell) -> None:
    shell.edit("business_central", "customers", "number", "AW00000006", phoneNumber="111")
    name = shell.get("business_central", "customers", "number", "AW00000006", "displayName").values[0]
    shell.edit("dataverse", "account", "name", str(name), telephone1="222", websiteurl="http://six")
    outcome = shell.run("sync", "customer", "--json")
    row = outcome.data["mappings"]["CUSTOMER"]
    assert (row["conflicts"], row["updated"]) == (1, 1), "the website went through"
    shown = shell.run("conflicts").out
    assert "phoneNumber" in shown
    assert "111" in shown
    assert "222" in shown
    assert BOB.first_name in shown
    assert ALICE.first_name in shown
    (conflict,) = shell.json("conflicts", "customer")["conflicts"]
    for side, person in (("business_central", BOB), ("dataverse", ALICE)):
        assert (conflict[f"{side}_modified_by"], conflict[f"{side}_modified_by_name"]) == (person.id, person.name)
    assert shell.run("resolve", "4711", "--use", "dataverse").status == 2
    assert shell.run("resolve", "customer", "--use", "dataverse").status == 2, "all of them must be said"
    assert shell.run("resolve", "--all", "--use", "nobody").status == 2
    assert shell.run("resolve", "--where", "colour=red", "--use", "dataverse").status == 2
    assert shell.run("resolve", "customer", "--where", "field=name", "--use", "dataverse").status == 0
    assert len(shell.json("conflicts")["conflicts"]) == 1
    assert shell.run("resolve", "customer", "--all", "--use", "dataverse").status == 0
    assert shell.get("business_central", "customers", "number", "AW00000006", "phoneNumber").values == ("222",)
    assert shell.json("conflicts")["conflicts"] == []


def test_history_tells_what_was_there_before_and_why(shell: Shell) -> None:
    (entry, *_) = shell.json("history", "AW00000006", "--field", "phoneNumber")["history"]
    assert (entry["side"], entry["old"], entry["new"]) == ("business_central", "111", "222")
    assert entry["why"] == "conflict decided for dataverse"
    assert "conflict decided for dataverse" in shell.run("history", "--job", str(entry["job"])).out
    words = ("history", "customer", "AW00000006", "--side", "business_central", "--since", entry["at"])
    assert [one["new"] for one in shell.json(*words)["history"]] == ["222"]
    assert shell.json("history", "CUSTOMER", "--until", "2020-01-01")["history"] == []
    assert shell.run("history", "--since", "yesterday").status == 2


def test_a_job_is_taken_back_once_somebody_agreed(shell: Shell) -> None:
    name = shell.get("business_central", "customers", "number", "AW00000008", "displayName").values[0]
    shell.edit("dataverse", "account", "name", str(name), websiteurl="taken.example")
    (job,) = shell.json("sync", "customer")["mappings"]["CUSTOMER"]["jobs"]
    looked = shell.run("undo", str(job), "--preview")
    assert looked.status == 2
    assert "website in Business Central: taken.example ->" in looked.out
    assert "nothing was done" in shell.run("undo", str(job)).out

    def website() -> object:
        return shell.get("business_central", "customers", "number", "AW00000008", "website").values[0]

    assert website() == "taken.example"
    done = shell.run("undo", str(job), "--yes")
    assert done.status == 0
    assert f"took back job {job} as job {job + 1}: 1 updated" in done.out
    assert "The next run compares everything in CUSTOMER and brings these changes again" in done.out
    assert website() != "taken.example"
    assert f"undo of {job}" in shell.run("jobs").out
    assert shell.json("undo", str(job + 1), "--yes")["counts"] == {"updated": 1}
    assert website() == "taken.example"
    assert "there is nothing of job" in shell.run("undo", str(job + 1)).out
    assert shell.run("undo", "4711").status == 2


def test_a_record_is_explained(shell: Shell) -> None:
    found = shell.json("explain", "customer", "AW00000007")
    assert found["coupling"] is None
    assert found["dataverse"] is None
    assert "EXTERN" in found["failures"][0]["message"]
    told = shell.run("explain", "customer", "AW00000006").out
    assert "coupled: since" in told
    assert "leaves it alone, there is nothing to do" in told
    shell.edit("business_central", "customers", "number", "AW00000008", blocked="All")
    assert "outside the mapping's filter: blocked is 'All'" in shell.run("explain", "customer", "AW00000008").out
    shell.edit("business_central", "customers", "number", "AW00000008", blocked="_x0020_")


def test_uncoupling_keeps_data_and_matching_couples_again(shell: Shell) -> None:
    account = shell.json("explain", "customer", "AW00000009")["dataverse"]
    assert shell.run("uncouple", "customer").status == 2
    assert shell.json("uncouple", "customer", "AW00000009")["uncoupled"] == {"CUSTOMER": 1}
    assert shell.json("explain", "customer", "AW00000009")["coupling"] is None
    (unique,) = shell.json("match", "customer", "--preview")["unique"]
    assert (unique["business_central"]["name"], unique["dataverse"]["id"]) == ("AW00000009", account["id"])
    outcome = shell.run("match", "customer", "--json")
    assert (outcome.status, outcome.data["mappings"]["CUSTOMER"]["created"]) == (0, 0)
    assert "AW00000007" in [record["name"] for record in outcome.data["unmatched"]["business_central"]]
    assert shell.json("explain", "customer", account["id"])["coupling"]["dataverse_id"] == account["id"]


def test_coupling_by_hand_keeps_one_to_one(shell: Shell) -> None:
    ours, theirs = (
        shell.json("explain", "customer", number)["dataverse"]["id"] for number in ("AW00000010", "AW00000011")
    )
    refused = shell.run("couple", "customer", "AW00000010", theirs)
    assert refused.status == 1
    assert "AW00000010 in Business Central is coupled to" in refused.err
    assert "koppel uncouple 'CUSTOMER'" in refused.err
    shell.json("uncouple", "customer", "AW00000010")
    assert shell.run("couple", "customer", "AW00000010", ours).status == 0
    assert shell.json("explain", "customer", "AW00000010")["coupling"]["dataverse_id"] == ours


def test_status_and_jobs_tell_what_there_is(shell: Shell) -> None:
    numbers = shell.json("status", "customer")["mappings"]["CUSTOMER"]["numbers"]
    assert (numbers["failures"], numbers["conflicts"]) == (3, 0)
    assert numbers["couplings"] >= 37
    jobs = shell.json("jobs", "--limit", "5")["jobs"]
    assert len(jobs) == 5
    assert {job["status"] for job in shell.json("jobs", "--limit", "500")["jobs"]} == {"done"}
    number = str(jobs[0]["id"])
    for words in ((), ("--watch",)):
        assert number in shell.run("jobs", number, *words).out
    (full,) = shell.json("jobs", "--mapping", "customer", "--type", "full", "--status", "done", "--limit", "1")["jobs"]
    assert (full["mappings"], full["type"], full["direction"]) == (["CUSTOMER"], "full", "both")
    assert shell.json("jobs", "--status", "failed")["jobs"] == []
    assert shell.run("jobs", "--type", "partly").status == 2


def test_what_failed_can_be_seen_and_tried_again(shell: Shell) -> None:
    assert {f["record_name"] for f in shell.json("errors", "customer")["failures"]} == {
        "AW00000007",
        "AW00000017",
        "AW00000027",
    }
    shell.edit("business_central", "customers", "number", "AW00000017", salespersonCode="")
    outcome = shell.run("retry", "customer", "AW00000017", "--json")
    assert (outcome.status, outcome.data["mappings"]["CUSTOMER"]["created"]) == (0, 1)
    assert shell.json("explain", "customer", "AW00000017")["failures"] == []


def test_pairs_of_a_file_are_coupled(shell: Shell, tmp_path: Path) -> None:
    accounts = {
        name: shell.json("explain", "customer", name)["dataverse"]["id"] for name in ("AW00000010", "AW00000011")
    }
    assert shell.run("uncouple", "customer", *accounts).status == 0
    lines = [f"{account},{number}" for number, account in accounts.items()]
    (tmp_path / "pairs.csv").write_text("\n".join(["dataverse,business_central", *lines, "Nobody,AW00000012"]))
    outcome = shell.run("couple", "customer", "--pairs", str(tmp_path / "pairs.csv"))
    assert (outcome.status, "2 to couple, 0 coupled already, 1 refused" in outcome.out) == (1, True)
    assert "line 4: no record is called 'Nobody' in Dataverse" in outcome.out
    told = shell.json("couple", "customer", "--new", *accounts)
    assert (told["already"], told["mappings"]) == (2, {})


def test_uncoupling_everything_asks_first(shell: Shell) -> None:
    outcome = shell.run("uncouple", "salespeople", "currency", "--all")
    assert (outcome.status, "SALESPEOPLE" in outcome.out) == (2, True)
    assert shell.json("uncouple", "--orphans")["count"] == 0


def test_in_the_end_everything_still_agrees(shell: Shell) -> None:
    shell.run("sync")
    outcome = shell.run("verify")
    assert (outcome.status, outcome.err) == (0, "")
    assert "everything agrees" in outcome.out


def test_init_writes_a_configuration_that_works(shell: Shell, tmp_path: Path) -> None:
    written = (shell.folder / "koppel.yaml").read_text("utf-8")
    url = next(
        line.partition('"')[2].rstrip('"') for line in written.splitlines() if "dataverse" in line and "url" in line
    )
    path = tmp_path / "koppel.yaml"
    base = shell.sandbox.base_url
    words = ["--dataverse-url", url, "--business-central-url", f"{base}/bc/v2.0/Production", "--tenant", "sandbox"]
    words += ["--company", "AdventureWorks", "--client-id", KOPPEL.client_id, "--authority", base]
    assert shell.run("init", str(path), *words).status == 0
    assert shell.run("init", str(path), *words).status == 1, "what is there is kept"
    assert shell.run("check", "--config", str(path)).status == 0
