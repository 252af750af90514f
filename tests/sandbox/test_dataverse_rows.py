"""The simulated Dataverse: creating, reading, changing and deleting rows one at a time."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from dataverse_org import ALICE, BASE, BUSINESS_UNIT, INTEGRATION, LEAVER, TEAM, Organisation

from koppel.odata.literals import format_instant

FULL_GUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")


@pytest.fixture
def org() -> Organisation:
    return Organisation()


async def test_a_create_answers_with_the_address_of_the_new_row(org: Organisation) -> None:
    answer = await org.post("accounts", {"name": "Contoso"})
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["odata-version"] == "4.0"
    assert FULL_GUID.fullmatch(answer.id)
    assert answer.headers["odata-entityid"] == answer.headers["location"] == f"{BASE}accounts({answer.id})"
    assert "content-length" not in answer.headers


async def test_a_create_can_answer_with_the_row(org: Organisation) -> None:
    answer = await org.post("accounts?$select=name", {"name": "Contoso"}, prefer="return=representation")
    assert answer.status == 201
    assert "odata-entityid" not in answer.headers
    assert answer.headers["preference-applied"] == "return=representation"
    assert list(answer.json) == ["@odata.context", "@odata.etag", "name", "accountid"]
    assert answer.json["@odata.context"] == f"{BASE}$metadata#accounts(name)/$entity"
    assert answer.headers["etag"] == answer.json["@odata.etag"]


async def test_a_client_may_choose_the_id_once(org: Organisation) -> None:
    key = str(uuid4())
    assert await org.create("accounts", accountid=key.upper(), name="One") == key
    again = await org.post("accounts", {"accountid": key, "name": "Two"})
    assert (again.status, again.code) == (412, "0x80040237")
    assert org.names("account") == ["One"]


async def test_a_row_carries_what_the_server_knows(org: Organisation) -> None:
    key = await org.create("accounts", name="Contoso")
    row = await org.read(f"accounts({key})")
    assert row["@odata.context"] == f"{BASE}$metadata#accounts/$entity"
    assert row["createdon"] == row["modifiedon"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["createdon"])
    assert row["_createdby_value"] == row["_modifiedby_value"] == row["_ownerid_value"] == INTEGRATION
    assert row["_owninguser_value"] == INTEGRATION
    assert row["_owningbusinessunit_value"] == BUSINESS_UNIT
    assert (row["statecode"], row["statuscode"]) == (0, 1)
    assert row["creditonhold"] is False
    assert row["@odata.etag"] == f'W/"{row["versionnumber"]}"'
    assert row["telephone1"] is None
    assert list(row)[-1] == "accountid"


async def test_versions_rise_over_the_whole_organisation(org: Organisation) -> None:
    account = await org.create("accounts", name="A")
    contact = await org.create("contacts", lastname="B")
    first, second = await org.read(f"accounts({account})"), await org.read(f"contacts({contact})")
    await org.patch(f"accounts({account})", {"name": "C"})
    third = await org.read(f"accounts({account})")
    assert first["versionnumber"] < second["versionnumber"] < third["versionnumber"]


async def test_an_update_changes_what_was_sent_and_who_changed_it(org: Organisation) -> None:
    key = await org.create("accounts", name="Contoso", telephone1="1")
    org.clock.advance(60)
    org.token = "alice"
    answer = await org.patch(f"accounts({key})", {"telephone1": "2"}, if_match="*")
    assert (answer.status, answer.headers["odata-entityid"]) == (204, f"{BASE}accounts({key})")
    row = await org.read(f"accounts({key})")
    assert (row["name"], row["telephone1"], row["_modifiedby_value"], row["_createdby_value"]) == (
        "Contoso",
        "2",
        ALICE,
        INTEGRATION,
    )
    assert row["modifiedon"] > row["createdon"]


async def test_an_update_can_answer_with_the_row_without_expansions(org: Organisation) -> None:
    key = await org.create("accounts", name="Contoso")
    address = f"accounts({key})?$select=name&$expand=primarycontactid"
    answer = await org.patch(address, {"name": "New"}, prefer="return=representation")
    assert answer.status == 200
    assert answer.json["name"] == "New"
    assert "primarycontactid" not in answer.json


async def test_unknown_rows_are_not_found(org: Organisation) -> None:
    key = uuid4()
    for answer in (await org.get(f"accounts({key})"), await org.delete(f"accounts({key})")):
        assert (answer.status, answer.code) == (404, "0x80040217")
        assert answer.message == f"account With Id = {key} Does Not Exist"


async def test_unknown_addresses_are_not_found(org: Organisation) -> None:
    answer = await org.get("acounts")
    assert (answer.status, answer.code) == (404, "0x80060888")
    assert answer.message == "Resource not found for the segment 'acounts'."


async def test_a_deleted_row_is_gone(org: Organisation) -> None:
    key = await org.create("accounts", name="Contoso")
    assert (await org.delete(f"accounts({key})")).status == 204
    assert (await org.get(f"accounts({key})")).status == 404


async def test_single_columns_are_read_written_and_emptied(org: Organisation) -> None:
    key = await org.create("accounts", name="Contoso")
    column = f"accounts({key})/telephone1"
    assert (await org.get(column)).status == 204
    assert (await org.send("PUT", column, {"value": "7"})).status == 204
    assert (await org.get(column)).json == {
        "@odata.context": f"{BASE}$metadata#accounts({key})/telephone1",
        "value": "7",
    }
    assert (await org.delete(column)).status == 204
    assert (await org.get(column)).status == 204
    assert (await org.delete(f"accounts({key})/_primarycontactid_value")).status == 400


async def test_lookups_are_bound_read_and_cleared(org: Organisation) -> None:
    contact = await org.create("contacts", lastname="Ada")
    account = await org.create("accounts", name="A", **{"primarycontactid@odata.bind": f"/contacts({contact})"})
    assert (await org.read(f"accounts({account})"))["_primarycontactid_value"] == contact
    for value in (f"contacts({contact})", f"{BASE}contacts({contact})"):
        bound = await org.patch(f"accounts({account})", {"primarycontactid@odata.bind": value})
        assert bound.status == 204
    for empty in ({"primarycontactid@odata.bind": None}, {"primarycontactid": None}):
        await org.patch(f"accounts({account})", {"primarycontactid@odata.bind": f"/contacts({contact})"})
        await org.patch(f"accounts({account})", empty)
        assert (await org.read(f"accounts({account})"))["_primarycontactid_value"] is None


async def test_a_binding_to_nothing_or_to_another_table_is_refused(org: Organisation) -> None:
    missing = await org.post("accounts", {"primarycontactid@odata.bind": f"/contacts({uuid4()})"})
    assert (missing.status, missing.code) == (404, "0x80040217")
    account = await org.create("accounts", name="A")
    wrong = await org.post("accounts", {"primarycontactid@odata.bind": f"/accounts({account})"})
    assert (wrong.status, wrong.code) == (400, "0x80048d19")


async def test_setting_one_target_of_a_polymorphic_lookup_clears_the_other(org: Organisation) -> None:
    account = await org.create("accounts", name="A")
    parent = await org.create("contacts", lastname="P")
    contact = await org.create(
        "contacts", lastname="C", **{"parentcustomerid_account@odata.bind": f"/accounts({account})"}
    )
    address = f"contacts({contact})?$select=_parentcustomerid_value"
    annotated = {"prefer": 'odata.include-annotations="*"'}
    row = await org.read(address, **annotated)
    assert row["_parentcustomerid_value"] == account
    assert row["_parentcustomerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] == "account"
    await org.patch(f"contacts({contact})", {"parentcustomerid_contact@odata.bind": f"/contacts({parent})"})
    row = await org.read(address, **annotated)
    assert row["_parentcustomerid_value"] == parent
    assert row["_parentcustomerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] == "contact"
    assert (
        row["_parentcustomerid_value@Microsoft.Dynamics.CRM.associatednavigationproperty"] == "parentcustomerid_contact"
    )


async def test_a_row_can_be_assigned_to_a_user_or_a_team_but_not_to_a_disabled_user(org: Organisation) -> None:
    key = await org.create("accounts", name="A", **{"ownerid@odata.bind": f"/systemusers({ALICE})"})
    assert (await org.read(f"accounts({key})"))["_owninguser_value"] == ALICE
    await org.patch(f"accounts({key})", {"ownerid@odata.bind": f"/teams({TEAM})"})
    row = await org.read(f"accounts({key})")
    assert (row["_ownerid_value"], row["_owningteam_value"], row["_owninguser_value"]) == (TEAM, TEAM, None)
    refused = await org.patch(f"accounts({key})", {"ownerid@odata.bind": f"/systemusers({LEAVER})"})
    assert refused.status == 400


async def test_related_rows_are_created_together_or_not_at_all(org: Organisation) -> None:
    body = {
        "name": "A",
        "primarycontactid": {"lastname": "Ada"},
        "contact_customer_accounts": [{"lastname": "Bea"}, {"lastname": "Cas"}],
    }
    answer = await org.post("accounts", body)
    assert answer.status == 204
    row = await org.read(f"accounts({answer.id})?$expand=primarycontactid($select=lastname)")
    assert row["primarycontactid"]["lastname"] == "Ada"
    children = (await org.get(f"accounts({answer.id})/contact_customer_accounts?$select=lastname")).rows
    assert sorted(child["lastname"] for child in children) == ["Bea", "Cas"]
    body["contact_customer_accounts"] = [{"lastname": "Dot"}, {"lastname": 5}]
    assert (await org.post("accounts", body)).status == 400
    assert org.names("contact", "lastname") == ["Ada", "Bea", "Cas"]


async def test_relations_are_changed_by_reference(org: Organisation) -> None:
    account = await org.create("accounts", name="A")
    contact = await org.create("contacts", lastname="C")
    collection = f"accounts({account})/contact_customer_accounts"
    reference = {"@odata.id": f"{BASE}contacts({contact})"}
    assert (await org.post(f"{collection}/$ref", reference)).status == 204
    assert (await org.get(f"{collection}/$ref")).rows == [reference]
    assert (await org.get(f"{collection}/$count")).body.decode("utf-8-sig") == "1"
    assert (await org.delete(f"{collection}({contact})/$ref")).status == 204
    assert (await org.get(collection)).rows == []
    await org.post(f"{collection}/$ref", reference)
    assert (await org.delete(f"{collection}/$ref?$id={BASE}contacts({contact})")).status == 204
    assert (await org.get(collection)).rows == []
    single = f"accounts({account})/primarycontactid"
    assert (await org.send("PUT", f"{single}/$ref", reference)).status == 204
    assert (await org.get(f"{single}/$ref")).json["@odata.id"] == reference["@odata.id"]
    assert (await org.get(f"{single}?$select=lastname")).json["lastname"] == "C"
    assert (await org.delete(f"{single}/$ref")).status == 204
    assert (await org.get(single)).status == 204


async def test_deleting_takes_along_unlinks_or_is_refused(org: Organisation) -> None:
    account = await org.create("accounts", name="A")
    child = await org.create("accounts", name="B", **{"parentaccountid@odata.bind": f"/accounts({account})"})
    contact = await org.create(
        "contacts", lastname="C", **{"parentcustomerid_account@odata.bind": f"/accounts({account})"}
    )
    note = await org.create("annotations", subject="N", **{"objectid_account@odata.bind": f"/accounts({account})"})
    assert (await org.read(f"annotations({note})"))["objecttypecode"] == "account"
    assert (await org.delete(f"accounts({account})")).status == 204
    assert (await org.get(f"contacts({contact})")).status == 404
    assert (await org.get(f"annotations({note})")).status == 404
    assert (await org.read(f"accounts({child})"))["_parentaccountid_value"] is None
    schedule = await org.create("uomschedules", name="PCS", baseuomname="PCS")
    unit = next(iter(org.dataverse.tables["uom"].rows))
    await org.create(
        "products",
        productnumber="1",
        name="P",
        **{
            "defaultuomscheduleid@odata.bind": f"/uomschedules({schedule})",
            "defaultuomid@odata.bind": f"/uoms({unit})",
        },
    )
    refused = await org.delete(f"uomschedules({schedule})")
    assert (refused.status, refused.code) == (405, "0x80040227")


async def test_statistics_of_an_account_are_linked_and_unlinked(org: Organisation) -> None:
    """The table that the connector's solution adds: money in a currency, and a lookup of the account to it."""
    statistics = await org.create("nav_accountstatisticses", nav_name="Contoso", nav_balancelcy=12.345)
    row = await org.read(f"nav_accountstatisticses({statistics})")
    assert (row["nav_balancelcy"], row["nav_balancelcy_base"], row["statuscode"]) == (12.35, 12.35, 1)
    bound = {"nav_accountstatisticsid@odata.bind": f"/nav_accountstatisticses({statistics})"}
    account = await org.create("accounts", name="Contoso", **bound)
    found = await org.read(f"accounts({account})?$expand=nav_accountstatisticsid($select=nav_name)")
    assert found["nav_accountstatisticsid"]["nav_name"] == "Contoso"
    assert (await org.delete(f"nav_accountstatisticses({statistics})")).status == 204
    assert (await org.read(f"accounts({account})"))["_nav_accountstatisticsid_value"] is None


async def test_generated_addresses_follow_the_host_the_mount_and_the_version(org: Organisation) -> None:
    answer = await org.send("POST", "contacts", {"lastname": "A"}, mount="/dataverse", root="/api/data/v9.0/")
    assert answer.headers["odata-entityid"] == f"https://org.test/dataverse/api/data/v9.0/contacts({answer.id})"
    answer = await org.send("GET", "contacts?$select=lastname", mount="/dataverse", root="/api/data/v9.1/")
    assert answer.json["@odata.context"] == "https://org.test/dataverse/api/data/v9.1/$metadata#contacts(lastname)"
    link = answer.json.get("@odata.nextLink")
    assert link is None


async def test_the_creation_date_can_be_set_back(org: Organisation) -> None:
    before = format_instant(org.clock())
    key = await org.create("accounts", name="A", overriddencreatedon="2001-02-03T04:05:06Z")
    row = await org.read(f"accounts({key})")
    assert row["createdon"] == "2001-02-03T04:05:06Z"
    assert row["overriddencreatedon"] >= before
