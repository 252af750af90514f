"""Opportunities: whom new ones of Dataverse are with, and companies that stand for nothing."""

from __future__ import annotations

import pytest

from koppel.engine.action import Refusal
from koppel.engine.rule import RULES
from koppel.rules import opportunity
from rule_batches import Tables, batch_of, fetched

THERE: Tables = {
    "CONTACT": [{"key": "P1", "business_central_id": "b1", "dataverse_id": "p1"}],
    "CUSTOMER": [{"key": "C1", "business_central_id": "b2", "dataverse_id": "a1"}],
    "VENDOR": [{"key": "V1", "business_central_id": "b3", "dataverse_id": "a2"}],
    "contactBusinessRelations": [
        {"contactNumber": "CT1", "linkToTable": "Customer", "number": "C1"},
        {"contactNumber": "CT2", "linkToTable": "Vendor", "number": "V1"},
        {"contactNumber": "CT3", "linkToTable": "Customer", "number": "C3"},
        {"contactNumber": "CT4", "linkToTable": "Customer", "number": "C4"},
    ],
    "customers": [{"number": "C4"}],
    "vendors": [],
}


@pytest.mark.rule("OPP-07")
@pytest.mark.parametrize(
    ("person", "account", "number"),
    [
        ("p1", "a1", "P1"),
        (None, "a1", "CT1"),
        ("p9", "a1", "CT1"),
        (None, "a2", "CT2"),
        ("p9", "a9", None),
        (None, None, None),
    ],
)
def test_a_new_one_is_with_the_contact_or_else_the_company(
    person: str | None, account: str | None, number: str | None
) -> None:
    batch = batch_of({"parentcontactid": [person], "parentaccountid": [account]})
    [found] = opportunity.contact(fetched(RULES["opportunity.contact"], batch, THERE))
    assert found == ({"contactNumber": number} if number else {})


@pytest.mark.rule("OPP-03")
def test_a_company_is_no_contact() -> None:
    numbers = {"contactNumber": ["P1", "CT1", ""], "contactCompanyNo": ["CT1", "CT1", ""]}
    assert opportunity.person(batch_of(numbers)) == ["P1", "", ""]
    assert opportunity.person(batch_of({"contactNumber": ["P1", "CT1"]})) == ["P1", "CT1"], "who knows, there"


@pytest.mark.rule("OPP-04")
def test_a_company_whose_customer_does_not_exist_is_an_error() -> None:
    batch = batch_of({"contactCompanyNo": ["CT1", "CT3", "CT4", "CT9", ""]})
    coupled, lost, uncoupled, unrelated, none = opportunity.company(fetched(RULES["opportunity.company"], batch, THERE))
    assert (coupled, uncoupled, unrelated, none) == ("CT1", "CT4", "CT9", "")
    assert isinstance(lost, Refusal)
    assert (lost.code, lost.skip, lost.field) == ("OPP-04", False, "contactCompanyNo")
    assert lost.message == "its company CT3 is related to customer C3, which does not exist"
