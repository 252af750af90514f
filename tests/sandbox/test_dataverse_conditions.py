"""The simulated Dataverse: versions, upserts and alternate keys."""

from __future__ import annotations

from uuid import uuid4

import pytest
from dataverse_org import BASE, INTEGRATION, Organisation

STALE = 'W/"1"'
MISMATCH = "The version of the existing record doesn't match the RowVersion property provided."


@pytest.fixture
def org() -> Organisation:
    organisation = Organisation()
    organisation.dataverse.define_key("account", "by_number", "accountnumber")
    return organisation


async def etag(org: Organisation, key: str) -> str:
    return str((await org.read(f"accounts({key})?$select=name"))["@odata.etag"])


@pytest.mark.parametrize("headers", [{}, {"if_none_match": "null"}, {"if_match": "*"}, {"if_match": "current"}])
async def test_patches_that_update(org: Organisation, headers: dict[str, str]) -> None:
    key = await org.create("accounts", name="A")
    if headers.get("if_match") == "current":
        headers = {"if_match": await etag(org, key)}
    assert (await org.patch(f"accounts({key})", {"name": "B"}, **headers)).status == 204
    assert org.names("account") == ["B"]


@pytest.mark.parametrize(
    ("headers", "code"), [({"if_match": STALE}, "0x80060882"), ({"if_none_match": "*"}, "0x80040237")]
)
async def test_patches_that_are_refused(org: Organisation, headers: dict[str, str], code: str) -> None:
    key = await org.create("accounts", name="A")
    answer = await org.patch(f"accounts({key})", {"name": "B"}, **headers)
    assert (answer.status, answer.code) == (412, code)
    assert answer.message == (MISMATCH if code == "0x80060882" else "A record with matching key values already exists.")
    assert org.names("account") == ["A"]


@pytest.mark.parametrize("headers", [{}, {"if_none_match": "null"}, {"if_none_match": "*"}])
async def test_patches_that_create(org: Organisation, headers: dict[str, str]) -> None:
    key = uuid4()
    answer = await org.patch(f"accounts({key})", {"name": "A"}, **headers)
    assert (answer.status, answer.headers["odata-entityid"]) == (204, f"{BASE}accounts({key})")
    assert (await org.read(f"accounts({key})"))["name"] == "A"


@pytest.mark.parametrize("if_match", ["*", STALE])
async def test_patches_of_nothing(org: Organisation, if_match: str) -> None:
    answer = await org.patch(f"accounts({uuid4()})", {"name": "A"}, if_match=if_match)
    assert (answer.status, answer.code) == (404, "0x80040217")
    assert org.names("account") == []


async def test_deletes_check_the_version(org: Organisation) -> None:
    key = await org.create("accounts", name="A")
    assert (await org.delete(f"accounts({key})", if_match=STALE)).status == 412
    assert (await org.delete(f"accounts({key})", if_match=await etag(org, key))).status == 204


async def test_an_unchanged_row_is_not_sent_again(org: Organisation) -> None:
    key = await org.create("accounts", name="A")
    version = await etag(org, key)
    address = f"accounts({key})?$select=name"
    answer = await org.get(address, if_none_match=version)
    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", version)
    assert (await org.get(address, if_none_match=STALE)).status == 200
    assert (await org.get(address, if_none_match="null")).status == 200
    assert (await org.get(f"{address}&$expand=createdby", if_none_match=version)).status == 200
    assert (await org.get(address, if_none_match=version, prefer='odata.include-annotations="*"')).status == 200


async def test_an_upsert_tells_what_it_did_only_with_the_row(org: Organisation) -> None:
    address = f"accounts({uuid4()})?$select=name"
    for status in (201, 200):
        assert (await org.patch(address, {"name": "A"}, prefer="return=representation")).status == status


async def test_rows_are_addressed_by_alternate_key(org: Organisation) -> None:
    key = await org.create("accounts", name="A", accountnumber="O'Neil")
    row = await org.read("accounts(accountnumber='o''neil')?$select=name")
    assert row["accountid"] == key
    assert (await org.patch("accounts(accountnumber='O''Neil')", {"name": "B"}, if_match="*")).status == 204
    assert (await org.delete("accounts(accountnumber='O''Neil')")).status == 204
    missing = await org.get("accounts(accountnumber='O''Neil')")
    assert (missing.status, missing.code) == (404, "0x80060891")
    assert missing.message == "A record with the specified key values does not exist in account entity"


async def test_an_upsert_by_key_echoes_the_key_and_copies_its_values(org: Organisation) -> None:
    answer = await org.patch("accounts(accountnumber='7')", {"name": "A"})
    assert (answer.status, answer.headers["odata-entityid"]) == (204, f"{BASE}accounts(accountnumber='7')")
    assert org.names("account", "accountnumber") == ["7"]
    await org.patch("accounts(accountnumber='7')", {"name": "B", "accountnumber": "dropped"})
    assert org.names("account", "accountnumber") == ["7"]
    await org.patch("accounts(accountnumber='8')", {"name": "C", "accountnumber": "9"})
    assert org.names("account", "accountnumber") == ["7", "9"]


async def test_what_is_no_key_is_refused(org: Organisation) -> None:
    named = f"systemusers(systemuserid={INTEGRATION})"
    for address in ("accounts(name='A')", "accounts(accountnumber='1',name='A')", named):
        answer = await org.get(address)
        assert answer.status == 400
        assert answer.message.startswith("The key in the request URI is not valid for resource")


async def test_a_key_is_kept_unique_but_for_empty_values(org: Organisation) -> None:
    await org.create("accounts", name="A", accountnumber="1")
    for _ in range(2):
        await org.create("accounts", name="no number")
    other = await org.create("accounts", name="B", accountnumber="2")
    for answer in (
        await org.post("accounts", {"accountnumber": "1"}),
        await org.patch(f"accounts({other})", {"accountnumber": "1"}),
    ):
        assert (answer.status, answer.code) == (412, "0x80060892")
        assert "Entity Key by_number violated." in answer.message
    assert (await org.patch(f"accounts({other})", {"accountnumber": "2"})).status == 204


async def test_keys_have_several_parts_and_may_hold_lookups_and_numbers(org: Organisation) -> None:
    org.dataverse.define_key("contact", "by_account", "parentcustomerid", "importsequencenumber")
    account = await org.create("accounts", name="A")
    bind = {"parentcustomerid_account@odata.bind": f"/accounts({account})"}
    contact = await org.create("contacts", lastname="C", importsequencenumber=7, **bind)
    row = await org.read(f"contacts(_parentcustomerid_value={account},importsequencenumber=7)?$select=lastname")
    assert row["contactid"] == contact


async def test_a_lookup_is_bound_by_alternate_key(org: Organisation) -> None:
    account = await org.create("accounts", name="A", accountnumber="K1")
    bind = {"parentcustomerid_account@odata.bind": "/accounts(accountnumber='K1')"}
    contact = await org.create("contacts", lastname="C", **bind)
    assert (await org.read(f"contacts({contact})"))["_parentcustomerid_value"] == account
    answer = await org.post("contacts", {"parentcustomerid_account@odata.bind": "/accounts(accountnumber='K2')"})
    assert (answer.status, answer.code) == (404, "0x80060891")


async def test_a_key_is_declared_built_listed_and_dropped(org: Organisation) -> None:
    org.dataverse.keys.build_seconds = 30
    keys = "EntityDefinitions(LogicalName='contact')/Keys"
    body = {"SchemaName": "new_Mail", "DisplayName": None, "KeyAttributes": ["emailaddress1"]}
    await org.create("contacts", lastname="C", emailaddress1="c@example.com")
    created = await org.post(keys, body)
    assert created.status == 204
    listed = (await org.get(f"{keys}?$select=SchemaName,KeyAttributes,EntityKeyIndexStatus")).rows
    assert [(key["KeyAttributes"], key["EntityKeyIndexStatus"]) for key in listed] == [(["emailaddress1"], "Pending")]
    assert (await org.get("contacts(emailaddress1='c@example.com')")).status == 400
    org.clock.advance(31)
    assert (await org.read(f"{keys}({created.id})"))["EntityKeyIndexStatus"] == "Active"
    assert (await org.get("contacts(emailaddress1='c@example.com')")).status == 200
    assert (await org.delete(f"{keys}({created.id})")).status == 204
    assert (await org.get(keys)).rows == []
    assert (await org.post(keys, body | {"KeyAttributes": ["nothing"]})).code == "0x80041103"


async def test_a_key_over_values_that_occur_twice_fails(org: Organisation) -> None:
    for _ in range(2):
        await org.create("contacts", lastname="C", emailaddress1="c@example.com")
    key = org.dataverse.define_key("contact", "new_Mail", "emailaddress1")
    assert org.dataverse.keys.status(key) == "Failed"
    assert (await org.get("contacts(emailaddress1='c@example.com')")).status == 400
