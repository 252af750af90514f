"""Contacts belong to a company: through its business relation to a customer, and that customer's account."""

from __future__ import annotations

import pytest

from koppel.engine.action import Refusal
from koppel.engine.rule import RULES, Batch
from koppel.odata.records import Scalar
from koppel.rules import contact
from rule_batches import WORK_DATE, Tables, batch_of, fetched


def relation(contact_number: str, number: str, link: str = "Customer") -> dict[str, Scalar]:
    return {"contactNumber": contact_number, "linkToTable": link, "number": number}


THERE: Tables = {
    "contactBusinessRelations": [
        relation("CT1", "C1"),
        relation("CT2", "C2"),
        relation("CT3", "V3", "Vendor"),
        relation("CT4", "C4"),
        relation("CT4", "V4", "Vendor"),
        relation("CT5", "C1", "Vendor"),
        relation("CT6", "C6"),
    ],
    "CUSTOMER": [
        {"key": "C1", "business_central_id": "b1", "dataverse_id": "a1"},
        {"key": "C4", "business_central_id": "b4", "dataverse_id": "a4"},
        {"key": "C9", "business_central_id": "b9", "dataverse_id": "a9"},
    ],
    "customers": [{"number": "C2"}],
    "vendors": [],
    "VENDOR": [
        {"key": "V3", "business_central_id": "b3", "dataverse_id": "a3"},
        {"key": "V4", "business_central_id": "b14", "dataverse_id": "a14"},
    ],
}


def companies(keys: list[Scalar], ids: list[Scalar]) -> tuple[dict[str, Scalar], dict[Scalar, Scalar]]:
    batch = fetched(RULES["contact.company"], Batch(keys=keys, ids=ids, today=WORK_DATE), THERE)
    found = contact.company(batch)
    return dict(found.to_dataverse), dict(found.to_business_central)


@pytest.mark.rule("CONT-05")
class TestCompanyToAccount:
    def test_the_company_contact_of_a_coupled_customer_stands_for_its_account(self) -> None:
        assert companies(["CT1"], [])[0] == {"CT1": "a1"}

    def test_a_customer_that_is_not_coupled_stands_for_nothing_yet(self) -> None:
        assert companies(["CT2"], [])[0] == {}

    def test_a_vendors_company_stands_for_the_vendors_account(self) -> None:
        assert companies(["CT3", "CT5"], [])[0] == {"CT3": "a3"}, "C1 is no vendor, whatever its number"

    def test_one_that_is_both_counts_as_the_customer(self) -> None:
        assert companies(["CT4"], [])[0] == {"CT4": "a4"}

    def test_an_unknown_company_stands_for_nothing(self) -> None:
        assert companies(["CT8", ""], [])[0] == {}


@pytest.mark.rule("CONT-03")
class TestAccountToCompany:
    def test_an_account_stands_for_its_customers_company_contact(self) -> None:
        assert companies([], ["a1", "a4"])[1] == {"a1": "CT1", "a4": "CT4"}

    def test_a_vendors_account_stands_for_its_company_contact(self) -> None:
        assert companies([], ["a3", "a14"])[1] == {"a3": "CT3", "a14": "CT4"}

    def test_an_account_that_is_not_coupled_stands_for_nothing(self) -> None:
        assert companies([], ["a8"])[1] == {}

    def test_nor_does_a_customer_without_a_company_contact(self) -> None:
        assert companies([], ["a9"])[1] == {}


@pytest.mark.rule("CONT-03")
def test_both_ways_lead_to_the_same_pair() -> None:
    there, back = companies(["CT1", "CT4"], ["a1", "a4"])
    assert {account: company for company, account in there.items()} == back


@pytest.mark.rule("CONT-02")
def test_a_contact_whose_company_is_no_customer_is_skipped_without_an_error() -> None:
    batch = batch_of({"companyNumber": ["CT1", "CT2", "CT3", "CT8"]})
    found = contact.company_is_customer(fetched(RULES["contact.company_is_customer"], batch, THERE))
    assert found[:3] == [None, None, None]
    [refusal] = found[3:]
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.skip, refusal.value) == ("CONT-02", True, "CT8")
    assert refusal.message == "its company CT8 is not related to a customer or vendor"


@pytest.mark.rule("CONT-05")
def test_a_relation_to_a_customer_or_vendor_that_does_not_exist_is_an_error() -> None:
    batch = batch_of({"companyNumber": ["CT6", "CT2", "CT5", "CT4", "CT6"]})
    first, uncoupled, second, coupled, again = contact.company_is_customer(
        fetched(RULES["contact.company_is_customer"], batch, THERE)
    )
    assert (uncoupled, coupled) == (None, None)
    assert isinstance(first, Refusal)
    assert isinstance(second, Refusal)
    assert (first.code, first.skip, first.message) == (
        "CONT-05",
        False,
        "its company CT6 is related to customer C6, which does not exist",
    )
    assert second.message == "its company CT5 is related to vendor C1, which does not exist"
    assert again == first
