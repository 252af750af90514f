"""The simulated Dataverse: bulk messages and who has them."""

from __future__ import annotations

from uuid import uuid4

import pytest
from dataverse_org import BASE, DOLLAR, Organisation, Row


@pytest.fixture
def org() -> Organisation:
    organisation = Organisation()
    organisation.dataverse.define_key("account", "by_number", "accountnumber")
    return organisation


async def test_many_rows_are_created_in_one_call(org: Organisation) -> None:
    chosen = str(uuid4())
    answer = await org.bulk("accounts", "CreateMultiple", {"name": "A"}, {"name": "B", "accountid": chosen})
    assert answer.status == 200
    assert answer.json["@odata.context"] == f"{BASE}$metadata#Microsoft.Dynamics.CRM.CreateMultipleResponse"
    first, second = answer.json["Ids"]
    assert second == chosen
    assert (await org.read(f"accounts({first})"))["name"] == "A"


async def test_one_bad_row_takes_all_others_back(org: Organisation) -> None:
    kept = await org.create("accounts", name="kept")
    before = org.dataverse.tables["account"].changed_since(0)
    answer = await org.bulk("accounts", "CreateMultiple", {"name": "A"}, {"name": "B"}, {"name": "x" * 200})
    assert (answer.status, answer.code) == (400, "0x80044331")
    answer = await org.bulk(
        "accounts", "UpdateMultiple", {"accountid": kept, "name": "changed"}, {"accountid": kept.upper(), "name": "x"}
    )
    assert answer.status == 400
    answer = await org.bulk(
        "accounts", "UpsertMultiple", {"accountid": kept, "name": "B"}, {"accountid": str(uuid4()), "name": 1}
    )
    assert answer.status == 400
    assert org.names("account") == ["kept"]
    table = org.dataverse.tables["account"]
    assert (table.changed_since(0), table.deleted_since(0)) == (before, [])


async def test_what_was_taken_back_leaves_keys_free_and_changes_in_order(org: Organisation) -> None:
    first = await org.create("accounts", name="1", accountnumber="1")
    second = await org.create("accounts", name="2", accountnumber="2")
    version = org.dataverse.store.version
    rows: list[Row] = [{"accountid": first, "accountnumber": "9"}, {"accountid": second, "name": 5}]
    assert (await org.bulk("accounts", "UpdateMultiple", *rows)).status == 400
    assert (await org.get("accounts(accountnumber='9')")).status == 404
    assert (await org.get("accounts(accountnumber='1')")).status == 200
    assert org.dataverse.tables["account"].changed_since(0) == [first, second]
    assert org.dataverse.tables["account"].changed_since(version + 1) == []


async def test_many_rows_are_updated_by_id_or_key(org: Organisation) -> None:
    first = await org.create("accounts", name="1")
    await org.create("accounts", name="2", accountnumber="K")
    rows = [{"accountid": first, "name": "A"}, {"@odata.id": "accounts(accountnumber='K')", "name": "B"}]
    assert (await org.bulk("accounts", "UpdateMultiple", *rows)).status == 204
    assert sorted(org.names("account")) == ["A", "B"]


async def test_updates_of_missing_rows_name_them(org: Organisation) -> None:
    key = str(uuid4())
    answer = await org.bulk("accounts", "UpdateMultiple", {"accountid": key, "name": "A"})
    assert (answer.status, answer.message) == (404, f"account With Ids = {key} Do Not Exist")


async def test_many_rows_are_upserted(org: Organisation) -> None:
    await org.create("accounts", name="old", accountnumber="1")
    rows = [
        {"@odata.id": "accounts(accountnumber='1')", "name": "updated"},
        {"@odata.id": f"{BASE}accounts(accountnumber='2')", "name": "created"},
        {"accountid": str(uuid4()), "name": "by id"},
    ]
    answer = await org.bulk("accounts", "UpsertMultiple", *rows)
    assert (answer.status, answer.body) == (204, b"")
    assert dict(zip(org.names("account"), org.names("account", "accountnumber"), strict=True)) == {
        "updated": "1",
        "created": "2",
        "by id": None,
    }


async def test_a_key_that_stands_twice_is_refused_for_new_rows_only(org: Organisation) -> None:
    row = {"@odata.id": "accounts(accountnumber='1')", "accountnumber": "1", "name": "A"}
    refused = await org.bulk("accounts", "UpsertMultiple", row)
    assert (refused.status, refused.code) == (400, "0x80040216")
    await org.create("accounts", accountnumber="1")
    assert (await org.bulk("accounts", "UpsertMultiple", row)).status == 204


async def test_every_target_needs_its_type(org: Organisation) -> None:
    answer = await org.post("accounts/Microsoft.Dynamics.CRM.CreateMultiple", {"Targets": [{"name": "A"}]})
    assert (answer.status, answer.code) == (400, "0x80048d19")
    assert "@odata.type" in answer.message


async def test_lookups_are_bound_in_bulk(org: Organisation) -> None:
    row = {"name": "A", "creditlimit": 1, "transactioncurrencyid@odata.bind": f"/transactioncurrencies({DOLLAR})"}
    answer = await org.bulk("accounts", "CreateMultiple", row, row)
    for key in answer.json["Ids"]:
        assert (await org.read(f"accounts({key})"))["creditlimit_base"] == 0.8


async def test_what_a_table_does_not_have_is_refused(org: Organisation) -> None:
    deleted = await org.bulk("accounts", "DeleteMultiple", {"accountid": str(uuid4())})
    assert (deleted.status, deleted.message) == (400, "DeleteMultiple has not yet been implemented.")
    assert (await org.bulk("productpricelevels", "CreateMultiple", {})).status == 400
    bare = await org.post("accounts/CreateMultiple", {"Targets": []})
    assert (bare.status, bare.message) == (400, "Request message has unresolved parameters.")


async def test_rows_are_deleted_in_bulk_by_their_ids(org: Organisation) -> None:
    keys = [await org.create("accounts", name=name) for name in "ABC"]
    condition = {"AttributeName": "accountid", "Operator": "In", "Values": [{"Value": key} for key in keys[:2]]}
    query = {"EntityName": "account", "Criteria": {"FilterOperator": "And", "Conditions": [condition]}}
    answer = await org.post("BulkDelete", {"JobName": "J", "QuerySet": [query]})
    assert answer.status == 200
    assert len(answer.json["JobId"]) == 36
    assert org.names("account") == ["C"]
    condition["Operator"] = "NotIn"
    assert (await org.post("BulkDelete", {"QuerySet": [query]})).status == 501


@pytest.mark.parametrize(
    ("message", "table", "found"),
    [("CreateMultiple", "product", 1), ("CreateMultiple", "productpricelevel", 0), ("DeleteMultiple", "account", 0)],
)
async def test_clients_can_ask_which_table_has_which_message(
    org: Organisation, message: str, table: str, found: int
) -> None:
    query = (
        "sdkmessagefilters?$select=sdkmessagefilterid&$filter=sdkmessageid/name eq @message and "
        f"primaryobjecttypecode eq @table&@message='{message}'&@table='{table}'"
    )
    assert len((await org.get(query)).rows) == found
