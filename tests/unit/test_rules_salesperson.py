"""Salespeople from users."""

from __future__ import annotations

import pytest

from koppel.engine.rule import RULES
from koppel.odata.records import Scalar
from koppel.rules import salesperson
from rule_batches import batch_of, fetched


def codes(taken: list[str], new: int) -> list[dict[str, Scalar]]:
    batch = batch_of({"fullname": [f"User {number}" for number in range(new)]})
    there = {"salespeoplePurchasers": [{"code": code} for code in taken]}
    return salesperson.code(fetched(RULES["salesperson.code"], batch, there))


@pytest.mark.rule("SP-04")
@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ([], ["SP NO. 00001", "SP NO. 00002"]),
        (["JR", "PS"], ["SP NO. 00001", "SP NO. 00002"]),
        (["SP NO. 00007", "SP NO. 00003"], ["SP NO. 00008", "SP NO. 00009"]),
        (["SP NO. 09999"], ["SP NO. 10000", "SP NO. 10001"]),
        (["SP NO. 7", "SP NO. 00001X", "SP NO. ", "SP 00009"], ["SP NO. 00001", "SP NO. 00002"]),
    ],
    ids=["none", "others", "gaps are left", "beyond four digits", "not of the series"],
)
def test_new_salespeople_get_the_next_codes_of_the_series(taken: list[str], expected: list[str]) -> None:
    assert codes(taken, 2) == [{"code": code} for code in expected]


@pytest.mark.rule("SP-04")
def test_no_two_of_a_batch_get_the_same() -> None:
    found = [row["code"] for row in codes(["SP NO. 00041"], 30)]
    assert len(set(found)) == 30
    assert RULES["salesperson.code"].side == "dataverse"
