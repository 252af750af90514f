"""What the command line prints, from values alone."""

from __future__ import annotations

from collections import Counter
from io import StringIO

import msgspec
import pytest
from rich.console import Console, RenderableType

from koppel.cli.lines import Trouble, action_lines, finished_data, notice_troubles, trouble_lines
from koppel.cli.options import direction_named
from koppel.cli.output import spelled, table
from koppel.engine.action import Action, Change, Conflict, FollowUp, Refusal
from koppel.errors import LockedError, UsageError
from koppel.mapping.load import load_mappings
from koppel.mapping.names import mapping_named, mappings_named
from koppel.store.failures import Failure
from koppel.sync.full import Finished
from koppel.sync.request import Result

KNOWN = {name: mapping for name, mapping in load_mappings().items() if name in ("SALESPEOPLE", "CUSTOMER", "CONTACT")}


def printed(*lines: RenderableType) -> str:
    file = StringIO()
    console = Console(file=file, markup=False, highlight=False, width=1000)
    for line in lines:
        console.print(line)
    return file.getvalue()


def test_names_are_found_in_any_case_and_ordered_by_dependency() -> None:
    assert mappings_named(KNOWN, ["contact", "Salespeople"]) == ["SALESPEOPLE", "CONTACT"]
    assert mappings_named(KNOWN, None) == list(KNOWN)
    off = {**KNOWN, "CUSTOMER": msgspec.structs.replace(KNOWN["CUSTOMER"], enabled=False)}
    assert mappings_named(off, None) == ["SALESPEOPLE", "CONTACT"]
    assert mappings_named(off, ["customer"]) == ["CUSTOMER"]
    assert mappings_named(KNOWN, []) == []
    with pytest.raises(UsageError) as caught:
        mapping_named(KNOWN, "custmer")
    assert caught.value.remedy == "Did you mean `CUSTOMER`?"


def test_directions_are_understood_or_refused() -> None:
    assert (direction_named(None), direction_named("To-Dataverse")) == ("both", "to_dataverse")
    with pytest.raises(UsageError):
        direction_named("left")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "(blank)"),
        ("", "(blank)"),
        (" x", "' x'"),
        (0, "0"),
        ({"city": "", "street": "A 1"}, "city (blank), street A 1"),
    ],
)
def test_blanks_are_seen(value: str | int | dict[str, str | None] | None, shown: str) -> None:
    assert spelled(value) == shown


def test_numbers_stand_to_the_right_and_zero_is_a_dash() -> None:
    lines = printed(table(("name", "count"), [("a", 12345), ("b", 0)])).splitlines()
    assert [line.rstrip() for line in lines if line.strip()][-2:] == [" a      12,345", " b           -"]


def test_an_update_shows_old_and_new_with_the_reason() -> None:
    action = Action(
        kind="update",
        mapping="CUSTOMER",
        name="C1",
        reason="changed in Dataverse",
        changes=(
            Change("phone", "business_central", "", "1", "changed in Dataverse"),
            Change("name", "dataverse", "A", "B", "changed in Business Central"),
        ),
        conflicts=(Conflict("fax", {"fax": "0"}, {"fax": "0"}, {"fax": "1"}, {"fax": None}),),
    )
    assert printed(*action_lines(action)).splitlines() == [
        "  ~ update C1  changed in Dataverse",
        "      phone in Business Central: (blank) -> 1",
        "      name in Dataverse: A -> B  (changed in Business Central)",
        "      fax: conflict; was 0, Business Central has 1, Dataverse has (blank)",
    ]


def test_a_creation_shows_what_comes_first_and_what_comes_later() -> None:
    first = FollowUp(
        side="dataverse",
        table="pricelevel",
        id="l",
        values={"name": "Default"},
        record="i",
        create=True,
        name="Default",
        reason="products need it",
    )
    action = Action(
        kind="create",
        mapping="ITEM-PRODUCT",
        name="BK-1",
        reason="new in Business Central",
        side="dataverse",
        to_dataverse={"name": "Bike"},
        before=(first,),
        later={"statecode": 0},
        after=(msgspec.structs.replace(first, table="productpricelevel", name="BK-1", values={"amount": 5}),),
    )
    assert printed(*action_lines(action)).splitlines() == [
        "  + create in Dataverse BK-1  new in Business Central",
        "      first create in Dataverse pricelevel Default  products need it",
        "        name: Default",
        "      name: Bike",
        "      then statecode: 0",
        "      then create in Dataverse productpricelevel BK-1  products need it",
        "        amount: 5",
    ]


def test_a_held_record_shows_its_remedy() -> None:
    refusal = Refusal(message="too long", remedy="shorten it")
    action = Action(kind="hold", mapping="CUSTOMER", name="C1", reason="too long", refusal=refusal)
    assert printed(*action_lines(action)) == "  ! hold C1  too long; shorten it\n"


def test_troubles_of_one_cause_are_told_together() -> None:
    same = [Trouble("CURRENCY", f"C{n}", f"no rate for C{n}", "enter one") for n in range(12)]
    lines = printed(*trouble_lines([*same, Trouble("CURRENCY", "X", "no ISO code")], "", "koppel errors")).splitlines()
    assert lines == [
        "  ! CURRENCY C0: no rate for C0",
        "      enter one",
        "      likewise C1, C2, C3, C4, C5, C6, C7, C8 and 3 more",
        "  ! CURRENCY X: no ISO code",
    ]


def test_more_causes_than_fit_are_counted() -> None:
    many = [Trouble("CUSTOMER", f"C{n}", f"cause {n} of {n * 7}") for n in range(100, 130)]
    lines = printed(*trouble_lines(many, "", "koppel errors")).splitlines()
    assert len(lines) == 9
    assert lines[-1] == "and 22 more: koppel errors"


def result(name: str, job: int, **counts: int) -> Result:
    requests = {"business_central": 2, "dataverse": 1}
    return Result(mapping=name, job=job, counts=Counter(counts), seconds=1.0, requests=requests, write_requests=1)


def test_a_completing_round_is_added_and_failed_is_what_is_left() -> None:
    failure = Failure(
        mapping="CUSTOMER", side="dataverse", record_id="1", direction="from_dataverse", kind="data", message="no"
    )
    finished = [
        Finished(mapping="CUSTOMER", result=result("CUSTOMER", 1, created=5, unchanged=2, failed=3)),
        Finished(mapping="CONTACT", error=LockedError("busy", place="CONTACT", remedy="wait")),
        Finished(mapping="CUSTOMER", result=result("CUSTOMER", 2, updated=4, unchanged=9), completing=True),
    ]
    data = finished_data(finished, [failure])
    customers = data["CUSTOMER"]
    assert (customers["created"], customers["updated"], customers["unchanged"], customers["failed"]) == (5, 4, 2, 1)
    assert (customers["jobs"], customers["seconds"]) == ([1, 2], 2.0)
    assert customers["requests"] == {"business_central": 4, "dataverse": 2}
    assert data["CONTACT"]["error"] == {"kind": "LockedError", "message": "busy", "place": "CONTACT", "remedy": "wait"}


def test_notices_are_taken_apart_and_not_told_twice() -> None:
    data = {"CUSTOMER": {"notices": ["C1: too long; shorten it", "C2: left empty", "everything is compared"]}}
    assert list(notice_troubles(data, {"too long"})) == [
        Trouble("CUSTOMER", "C2", "left empty"),
        Trouble("CUSTOMER", "", "everything is compared"),
    ]
