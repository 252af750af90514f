"""The simulated Dataverse: what query options find and show."""

from __future__ import annotations

from uuid import uuid4

import pytest
from dataverse_org import ALICE, BASE, DOLLAR, EURO, INTEGRATION, Answer, Organisation

FORMATTED = "@OData.Community.Display.V1.FormattedValue"


@pytest.fixture
def org() -> Organisation:
    return Organisation()


async def accounts(org: Organisation, *names: str) -> dict[str, str]:
    return {name: await org.create("accounts", name=name) for name in names}


def names(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.body
    return [row["name"] for row in answer.rows]


async def find(org: Organisation, text: str) -> list[str]:
    return sorted(names(await org.get(f"accounts?$select=name&$filter={text}")))


async def test_a_list_shows_the_selected_columns_the_etag_and_the_id(org: Organisation) -> None:
    await accounts(org, "Contoso")
    answer = await org.get("accounts?$select=name,revenue,address1_line1")
    assert answer.json["@odata.context"] == f"{BASE}$metadata#accounts(name,revenue,address1_line1)"
    assert answer.headers["content-type"].startswith("application/json; odata.metadata=minimal")
    assert answer.headers["content-length"] == str(len(answer.body))
    assert list(answer.rows[0]) == [
        "@odata.etag",
        "name",
        "revenue",
        "_transactioncurrencyid_value",
        "address1_line1",
        "address1_composite",
        "accountid",
    ]


@pytest.mark.parametrize("option", ["$select=nmae", "$filter=nmae eq 'x'", "$orderby=nmae", "$select=primarycontactid"])
async def test_unknown_columns_are_refused_by_name(org: Organisation, option: str) -> None:
    answer = await org.get(f"accounts?{option}")
    assert (answer.status, answer.code) == (400, "0x80060888")
    column = "nmae" if "nmae" in option else "primarycontactid"
    expected = f"Could not find a property named '{column}' on type 'Microsoft.Dynamics.CRM.account'."
    assert answer.message == expected


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name eq 'CONTOSO'", ["Contoso"]),
        ("name ne 'Contoso'", ["Fabrikam", "Litware"]),
        ("contains(name,'IK')", ["Fabrikam"]),
        ("startswith(name,'Con%so')", ["Contoso"]),
        ("endswith(name,'ware') or name eq 'Contoso'", ["Contoso", "Litware"]),
        ("not (name eq 'Contoso')", ["Fabrikam", "Litware"]),
        ("telephone1 eq null", ["Contoso", "Fabrikam", "Litware"]),
        ("telephone1 ne '1'", ["Contoso", "Fabrikam", "Litware"]),
        ("statecode eq 0 and name gt 'd'", ["Fabrikam", "Litware"]),
        ("Microsoft.Dynamics.CRM.In(PropertyName='name',PropertyValues=['Contoso','Litware'])", ["Contoso", "Litware"]),
        ("Microsoft.Dynamics.CRM.EqualUserId(PropertyName='ownerid')", []),
        ("Microsoft.Dynamics.CRM.Today(PropertyName='createdon')", ["Contoso", "Fabrikam", "Litware"]),
        ("Microsoft.Dynamics.CRM.OlderThanXDays(PropertyName='createdon',PropertyValue=1)", []),
        (f"_ownerid_value eq {INTEGRATION}", ["Contoso", "Fabrikam", "Litware"]),
        (f"_ownerid_value eq {ALICE}", []),
        ("name eq @wanted&@wanted='Litware'", ["Litware"]),
        ("createdby/lastname eq 'integration'", ["Contoso", "Fabrikam", "Litware"]),
    ],
)
async def test_filters(org: Organisation, text: str, found: list[str]) -> None:
    await accounts(org, "Contoso", "Fabrikam", "Litware")
    if "EqualUserId" in text:
        text, found = text.replace("ownerid", "_ownerid_value"), ["Contoso", "Fabrikam", "Litware"]
    assert await find(org, text) == found


async def test_rows_are_found_by_id_and_by_several_ids(org: Organisation) -> None:
    made = await accounts(org, "A", "B", "C")
    assert await find(org, f"accountid eq {made['B']}") == ["B"]
    assert await find(org, f"accountid eq {made['B']} and name eq 'A'") == []
    assert await find(org, f"accountid eq {uuid4()}") == []
    wanted = f'"{made["A"].upper()}","{made["C"]}"'
    text = f"Microsoft.Dynamics.CRM.In(PropertyName='accountid',PropertyValues=[{wanted}])"
    assert await find(org, text) == ["A", "C"]


@pytest.mark.parametrize(
    ("option", "status", "said"),
    [
        ("$skip=1", 400, "Skip Clause is not supported in CRM"),
        ("$filter=not Microsoft.Dynamics.CRM.Today(PropertyName='createdon')", 400, "Not operator along with"),
        ("$filter=name eq", 400, "Syntax error"),
        ("$Select=name", 400, "The query parameter $Select is not supported"),
        ("$top=x", 400, "$top"),
        ("$apply=groupby((name))", 501, "$apply"),
        ("fetchXml=<fetch/>", 501, "fetchXml"),
        ("sql=SELECT name FROM account", 501, "sql"),
        ("$search=x", 501, "$search"),
        ("$filter=contact_customer_accounts/any(c:c/lastname eq 'x')", 501, "any"),
        ("$expand=primarycontactid($expand=createdby)", 501, "nested $expand"),
        ("$filter=Microsoft.Dynamics.CRM.Under(PropertyName='accountid',PropertyValue='x')", 501, "Under"),
    ],
)
async def test_what_is_wrong_or_not_supported_is_named(org: Organisation, option: str, status: int, said: str) -> None:
    answer = await org.get(f"accounts?{option}")
    assert answer.status == status
    assert said in answer.message


async def test_names_of_options_and_blanks_may_be_encoded(org: Organisation) -> None:
    await accounts(org, "Ada Bel", "Contoso")
    answer = await org.get("accounts?%24select=name&%24filter=name+eq+'Ada%20Bel'")
    assert names(answer) == ["Ada Bel"]


async def test_rows_are_sorted_by_columns_choices_and_names_of_lookups(org: Organisation) -> None:
    contacts = {name: await org.create("contacts", lastname=name) for name in ("Zoe", "Ada")}
    for name, customer, contact in (("b", 3, "Zoe"), ("A", 11, "Ada"), ("c", 3, None)):
        bound = {"primarycontactid@odata.bind": f"/contacts({contacts[contact]})"} if contact else {}
        await org.create("accounts", name=name, customertypecode=customer, **bound)
    assert names(await org.get("accounts?$select=name&$orderby=name")) == ["A", "b", "c"]
    assert names(await org.get("accounts?$select=name&$orderby=name desc")) == ["c", "b", "A"]
    assert names(await org.get("accounts?$select=name&$orderby=customertypecode desc,name desc")) == ["A", "c", "b"]
    assert names(await org.get("accounts?$select=name&$orderby=_primarycontactid_value")) == ["c", "A", "b"]


async def test_top_and_count(org: Organisation) -> None:
    await accounts(org, "A", "B", "C")
    answer = await org.get("accounts?$select=name&$top=2&$count=true&$orderby=name")
    assert names(answer) == ["A", "B"]
    assert answer.json["@odata.count"] == 3
    assert "@odata.nextLink" not in answer.json
    ignored = await org.get("accounts?$select=name&$top=1", prefer="odata.maxpagesize=2")
    assert len(ignored.rows) == 2
    counted = await org.get("accounts/$count?$filter=name ne 'A'")
    assert counted.body == b"\xef\xbb\xbf2"
    assert counted.headers["content-type"] == "text/plain"


async def test_counts_stop_at_five_thousand(org: Organisation) -> None:
    org.dataverse.load("account", ({"name": f"A{number}"} for number in range(5_003)))
    answer = await org.get("accounts?$select=name&$top=1&$count=true", prefer='odata.include-annotations="*"')
    assert answer.json["@odata.count"] == answer.json["@Microsoft.Dynamics.CRM.totalrecordcount"] == 5_000
    assert answer.json["@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"] is True
    exact = await org.get('RetrieveTotalRecordCount(EntityNames=["account"])')
    assert exact.json["EntityRecordCountCollection"]["Values"] == [5_003]


async def test_expansion_of_lookups_and_collections(org: Organisation) -> None:
    contact = await org.create("contacts", lastname="Ada", jobtitle="Boss")
    made = await org.create("accounts", name="A", **{"primarycontactid@odata.bind": f"/contacts({contact})"})
    for name in ("Bea", "Cas", "Dot"):
        await org.create("contacts", lastname=name, **{"parentcustomerid_account@odata.bind": f"/accounts({made})"})
    expand = "primarycontactid($select=lastname),parentaccountid($select=name)"
    collection = "contact_customer_accounts($select=lastname;$filter=lastname ne 'Cas';$orderby=lastname desc;$top=5)"
    answer = await org.get(f"accounts?$select=name&$expand={expand},{collection}")
    row = answer.rows[0]
    assert row["primarycontactid"].keys() == {"@odata.etag", "lastname", "contactid"}
    assert row["primarycontactid"]["lastname"] == "Ada"
    assert row["parentaccountid"] is None
    assert [child["lastname"] for child in row["contact_customer_accounts"]] == ["Dot", "Bea"]
    assert row["contact_customer_accounts"][0]["_parentcustomerid_value"] == made
    link = row["contact_customer_accounts@odata.nextLink"]
    assert link.startswith(f"{BASE}accounts({made})/contact_customer_accounts?$select=lastname")
    assert [child["lastname"] for child in (await org.get(link)).rows] == ["Dot", "Bea"]
    assert answer.json["@odata.context"].startswith(f"{BASE}$metadata#accounts(name,primarycontactid(lastname),")


async def test_expansion_of_owner_users_and_references(org: Organisation) -> None:
    made = await org.create("accounts", name="A")
    row = await org.read(f"accounts({made})?$select=name&$expand=ownerid,createdby($select=fullname),modifiedby/$ref")
    assert row["ownerid"]["ownerid"] == INTEGRATION
    assert row["createdby"]["fullname"] == "Koppel Integration"
    assert row["modifiedby"] == {"@odata.id": f"{BASE}systemusers({INTEGRATION})"}
    user = await org.read(f"accounts({made})?$select=name&$expand=createdby")
    assert user["createdby"]["systemuserid"] == user["createdby"]["ownerid"] == INTEGRATION
    refused = await org.get("accounts?$expand=contact_customer_accounts/$ref")
    assert (refused.status, refused.code) == (400, "0x80060888")
    assert (await org.get("accounts?$expand=primarycontact")).status == 400


async def test_annotations_come_before_their_column(org: Organisation) -> None:
    contact = await org.create("contacts", firstname="Ada", lastname="Bel")
    made = await org.create(
        "accounts",
        name="A",
        revenue=20000,
        numberofemployees=1000,
        customertypecode=3,
        **{
            "primarycontactid@odata.bind": f"/contacts({contact})",
            "transactioncurrencyid@odata.bind": f"/transactioncurrencies({DOLLAR})",
        },
    )
    select = "name,revenue,revenue_base,numberofemployees,customertypecode,creditonhold,createdon,telephone1"
    address = f"accounts({made})?$select={select},_primarycontactid_value,_createdby_value"
    row = await org.read(address, prefer='odata.include-annotations="*"')
    keys = list(row)
    assert keys.index(f"revenue{FORMATTED}") == keys.index("revenue") - 1
    shown = {name.removesuffix(FORMATTED): value for name, value in row.items() if name.endswith(FORMATTED)}
    created = shown.pop("createdon")
    assert created.split()[0].count("/") == 2
    assert created.endswith(("AM", "PM"))
    assert shown == {
        "revenue": "$20,000.00",
        "revenue_base": "€16,000.00",
        "numberofemployees": "1,000",
        "customertypecode": "Customer",
        "creditonhold": "No",
        "_transactioncurrencyid_value": "US Dollar",
        "_primarycontactid_value": "Ada Bel",
        "_createdby_value": "Koppel Integration",
    }
    assert row["_primarycontactid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] == "contact"
    navigation = "@Microsoft.Dynamics.CRM.associatednavigationproperty"
    assert row[f"_primarycontactid_value{navigation}"] == "primarycontactid"
    assert f"_createdby_value{navigation}" not in row
    only = await org.get(address, prefer='odata.include-annotations="OData.Community.Display.V1.*"')
    assert only.headers["preference-applied"] == 'odata.include-annotations="OData.Community.Display.V1.*"'
    assert not [name for name in only.json if "Microsoft" in name]
    assert f"revenue{FORMATTED}" in only.json


async def test_errors_are_annotated_when_all_is_asked_for(org: Organisation) -> None:
    answer = await org.get("accounts?$select=x", prefer='odata.include-annotations="*"')
    assert answer.json["error"]["@Microsoft.PowerApps.CDS.InnerError.Message"] == answer.message
    assert answer.json["error"].keys() > {"code", "message", "@Microsoft.PowerApps.CDS.HelpLink"}
    assert (await org.get("accounts?$select=x")).json["error"].keys() == {"code", "message"}


async def test_money_columns_bring_their_currency(org: Organisation) -> None:
    made = await org.create("accounts", name="A", creditlimit=1)
    row = await org.read(f"accounts({made})?$select=creditlimit")
    assert row["_transactioncurrencyid_value"] == EURO
