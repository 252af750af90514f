"""The simulated Dataverse: definitions of tables and columns, choices and their publication."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from dataverse_org import BASE, BUSINESS_UNIT, INTEGRATION, ORGANIZATION, Organisation

from koppel.odata.csdl import read_model
from koppel.sandbox.dataverse.choices import Choice, OptionSet

PICKLIST = "Microsoft.Dynamics.CRM.PicklistAttributeMetadata"
TERMS = f"EntityDefinitions(LogicalName='account')/Attributes(LogicalName='paymenttermscode')/{PICKLIST}"
OPTION = {"EntityLogicalName": "account", "AttributeLogicalName": "paymenttermscode"}


@pytest.fixture
def org() -> Organisation:
    return Organisation()


def label(text: str) -> dict[str, Any]:
    localized = {"@odata.type": "Microsoft.Dynamics.CRM.LocalizedLabel", "Label": text, "LanguageCode": 1033}
    return {"@odata.type": "Microsoft.Dynamics.CRM.Label", "LocalizedLabels": [localized]}


async def options(org: Organisation, **headers: str) -> dict[int, str]:
    found = await org.read(f"{TERMS}?$select=LogicalName&$expand=OptionSet,GlobalOptionSet", **headers)
    assert found["GlobalOptionSet"] is None
    return {item["Value"]: item["Label"]["UserLocalizedLabel"]["Label"] for item in found["OptionSet"]["Options"]}


@pytest.mark.parametrize("address", ["WhoAmI", "WhoAmI()"])
async def test_who_am_i(org: Organisation, address: str) -> None:
    assert await org.read(address) == {
        "@odata.context": f"{BASE}$metadata#Microsoft.Dynamics.CRM.WhoAmIResponse",
        "BusinessUnitId": BUSINESS_UNIT,
        "UserId": INTEGRATION,
        "OrganizationId": ORGANIZATION,
    }


async def test_the_service_document_names_every_set(org: Organisation) -> None:
    answer = await org.get("")
    assert answer.json["@odata.context"] == f"{BASE}$metadata"
    assert {"name": "opportunities", "kind": "EntitySet", "url": "opportunities"} in answer.rows


async def test_the_metadata_document_holds_nothing_of_ours(org: Organisation) -> None:
    answer = await org.get("$metadata")
    assert answer.headers["content-type"] == "application/xml"
    assert b"urn:dataverse-model-additions" not in answer.body
    assert b" x:" not in answer.body
    assert b"<x:" not in answer.body
    model = read_model(answer.body)
    assert model.type_of("accounts").navigation["primarycontactid"].target == "contact"
    assert model.option_sets == {}


async def test_tables_are_filtered_and_their_properties_selected(org: Organisation) -> None:
    select = "$select=LogicalName,EntitySetName,PrimaryIdAttribute"
    rows = (await org.get(f"EntityDefinitions?{select}&$filter=LogicalName eq 'account'")).rows
    assert len(rows) == 1
    assert UUID(rows[0].pop("MetadataId"))
    assert rows == [{"LogicalName": "account", "EntitySetName": "accounts", "PrimaryIdAttribute": "accountid"}]
    owned = "$filter=OwnershipType eq Microsoft.Dynamics.CRM.OwnershipTypes'UserOwned' and IsCustomizable/Value eq true"
    assert "salesorder" in [row["LogicalName"] for row in (await org.get(f"EntityDefinitions?{owned}")).rows]
    none = await org.get("EntityDefinitions?$filter=LogicalName eq 'nothing'")
    assert (none.status, none.rows) == (200, [])


async def test_one_table_is_found_by_name_or_id(org: Organisation) -> None:
    by_name = await org.read("EntityDefinitions(LogicalName='product')?$select=ChangeTrackingEnabled")
    by_id = await org.read(f"EntityDefinitions({by_name['MetadataId']})")
    assert by_name["ChangeTrackingEnabled"] is True
    assert (by_id["SchemaName"], by_id["IsOptimisticConcurrencyEnabled"]) == ("Product", True)
    assert by_id["DisplayName"]["UserLocalizedLabel"]["Label"] == "Product"
    missing = await org.get("EntityDefinitions(LogicalName='nothing')")
    assert (missing.status, missing.code) == (404, "0x80041102")


@pytest.mark.parametrize(
    ("option", "status"), [("$top=1", 400), ("$orderby=LogicalName", 400), ("$select=Nothing", 501)]
)
async def test_what_metadata_queries_cannot_do(org: Organisation, option: str, status: int) -> None:
    assert (await org.get(f"EntityDefinitions?{option}")).status == status


@pytest.mark.parametrize(
    ("kind", "column", "expected"),
    [
        ("String", "name", {"MaxLength": 160, "AttributeType": "String", "IsPrimaryName": True}),
        ("Memo", "description", {"MaxLength": 2000}),
        ("Money", "creditlimit", {"MinValue": 0.0, "Precision": 2, "PrecisionSource": 2}),
        ("Lookup", "primarycontactid", {"Targets": ["contact"], "AttributeTypeName": {"Value": "LookupType"}}),
        ("DateTime", "createdon", {"IsValidForCreate": False, "IsValidForUpdate": False}),
        ("Uniqueidentifier", "accountid", {"IsPrimaryId": True, "IsValidForUpdate": False}),
    ],
)
async def test_columns_show_the_properties_of_their_type(
    org: Organisation, kind: str, column: str, expected: dict[str, Any]
) -> None:
    address = f"EntityDefinitions(LogicalName='account')/Attributes(LogicalName='{column}')"
    row = await org.read(f"{address}/Microsoft.Dynamics.CRM.{kind}AttributeMetadata")
    assert row["LogicalName"] == column
    assert {name: row[name] for name in expected} == expected
    other = "Boolean" if kind != "Boolean" else "String"
    assert (await org.get(f"{address}/Microsoft.Dynamics.CRM.{other}AttributeMetadata")).status == 404


async def test_columns_are_listed_by_type_and_filter(org: Organisation) -> None:
    attributes = "EntityDefinitions(LogicalName='account')/Attributes"
    row = (await org.get(f"{attributes}?$select=LogicalName,AttributeType&$filter=LogicalName eq 'name'")).rows[0]
    assert row["AttributeType"] == "String"
    assert row["@odata.type"] == "#Microsoft.Dynamics.CRM.StringAttributeMetadata"
    choices = (await org.get(f"{attributes}/{PICKLIST}?$select=LogicalName&$expand=OptionSet($select=Options)")).rows
    found = {choice["LogicalName"]: choice["OptionSet"] for choice in choices}
    assert found.keys() >= {"paymenttermscode", "address1_shippingmethodcode"}
    assert found["paymenttermscode"].keys() == {"MetadataId", "Options"}
    required = f"{attributes}?$select=LogicalName&$filter=RequiredLevel/Value eq "
    answer = await org.get(required + "Microsoft.Dynamics.CRM.AttributeRequiredLevel'ApplicationRequired'")
    assert [item["LogicalName"] for item in answer.rows] == ["name"]
    assert (await org.get(f"{attributes}/Microsoft.Dynamics.CRM.EnumAttributeMetadata")).status == 400


async def test_states_statuses_and_two_options(org: Organisation) -> None:
    attributes = "EntityDefinitions(LogicalName='product')/Attributes(LogicalName="
    states = await org.read(f"{attributes}'statecode')/Microsoft.Dynamics.CRM.StateAttributeMetadata?$expand=OptionSet")
    assert [(option["Value"], option["DefaultStatus"]) for option in states["OptionSet"]["Options"]][:3] == [
        (0, 1),
        (1, 2),
        (2, 0),
    ]
    status = await org.read(f"{attributes}'statuscode')/Microsoft.Dynamics.CRM.StatusAttributeMetadata/OptionSet")
    assert {option["Value"]: option["State"] for option in status["Options"]} == {0: 2, 1: 0, 2: 1, 3: 3}
    two = await org.read(f"{attributes}'iskit')/Microsoft.Dynamics.CRM.BooleanAttributeMetadata/OptionSet")
    assert two["TrueOption"]["Value"] == 1


async def test_relations_tell_navigation_properties(org: Organisation) -> None:
    address = "EntityDefinitions(LogicalName='contact')/ManyToOneRelationships?$select=" + ",".join(
        ("ReferencingAttribute", "ReferencedEntity", "ReferencingEntityNavigationPropertyName")
    )
    rows = (await org.get(f"{address}&$filter=ReferencingAttribute eq 'parentcustomerid'")).rows
    found = {row["ReferencedEntity"]: row["ReferencingEntityNavigationPropertyName"] for row in rows}
    assert found == {"account": "parentcustomerid_account", "contact": "parentcustomerid_contact"}
    expanded = await org.read(
        "EntityDefinitions(LogicalName='contact')?$select=LogicalName&$expand=Keys,ManyToOneRelationships"
    )
    assert expanded["Keys"] == []
    assert len(expanded["ManyToOneRelationships"]) > 10
    one = await org.get("RelationshipDefinitions?$filter=SchemaName eq 'account_primary_contact'")
    assert [row["ReferencingEntity"] for row in one.rows] == ["account"]


async def test_options_are_added_renamed_ordered_and_removed(org: Organisation) -> None:
    before = await options(org)
    assert before == {1: "Net 30", 2: "2% 10, Net 30", 3: "Net 45", 4: "Net 60"}
    created = await org.post("InsertOptionValue", {**OPTION, "Label": label("Net 14")})
    assert (created.status, created.json["NewOptionValue"]) == (200, 100_000_000)
    second = await org.post("InsertOptionValue", {**OPTION, "Label": label("Cash"), "Value": 77})
    assert second.json["NewOptionValue"] == 77
    assert (await org.post("InsertOptionValue", {**OPTION, "Label": label("Again"), "Value": 77})).status == 400
    renamed = {**OPTION, "Value": 77, "Label": label("On delivery"), "MergeLabels": True}
    assert (await org.post("UpdateOptionValue", renamed)).status == 204
    assert (await org.post("DeleteOptionValue", {**OPTION, "Value": 4})).status == 204
    assert (await org.post("OrderOption", {**OPTION, "Values": [77, 1, 2, 3, 100_000_000]})).status == 204
    assert (await options(org, consistency="Strong"))[77] == "On delivery"
    assert await options(org) == before
    xml = "<importexportxml><entities><entity>account</entity></entities></importexportxml>"
    assert (await org.post("PublishXml", {"ParameterXml": xml})).status == 204
    assert list(await options(org)) == [77, 1, 2, 3, 100_000_000]


async def test_a_new_option_can_be_written_and_is_shown(org: Organisation) -> None:
    assert (await org.post("accounts", {"paymenttermscode": 77})).code == "0x8004431A"
    await org.post("InsertOptionValue", {**OPTION, "Label": label("Cash"), "Value": 77})
    key = await org.create("accounts", paymenttermscode=77)
    row = await org.read(f"accounts({key})?$select=paymenttermscode", prefer='odata.include-annotations="*"')
    assert row["paymenttermscode@OData.Community.Display.V1.FormattedValue"] == "Cash"
    assert (await org.post("PublishAllXml", {})).status == 204


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"EntityLogicalName": "nothing", "AttributeLogicalName": "x"}, "0x80041102"),
        ({"EntityLogicalName": "account", "AttributeLogicalName": "name"}, "0x80041103"),
        ({**OPTION, "Label": None}, "0x80040203"),
        ({"EntityLogicalName": "account", "AttributeLogicalName": "statuscode", "Label": label("X")}, "0x80040203"),
    ],
)
async def test_options_that_cannot_be_added(org: Organisation, body: dict[str, Any], code: str) -> None:
    answer = await org.post("InsertOptionValue", {"Label": label("X"), **body})
    assert (answer.status, answer.code) == (400, code)


async def test_global_option_sets_can_be_read(org: Organisation) -> None:
    assert (await org.get("GlobalOptionSetDefinitions")).rows == []
    org.dataverse.option_sets["new_colour"] = OptionSet("new_colour", "Picklist", "", "", [Choice(1, "Red")])
    body = {"OptionSetName": "new_colour", "Label": label("Blue"), "Value": 2}
    assert (await org.post("InsertOptionValue", body)).status == 200
    one = await org.read("GlobalOptionSetDefinitions(Name='new_colour')", consistency="Strong")
    assert [option["Value"] for option in one["Options"]] == [1, 2]
    assert one["IsGlobal"] is True


@pytest.mark.parametrize(
    ("method", "address", "feature"),
    [
        ("POST", "EntityDefinitions", "POST EntityDefinitions"),
        ("POST", "EntityDefinitions(LogicalName='account')/Attributes", "Attributes"),
        ("POST", "CalculatePrice", "CalculatePrice"),
        ("GET", "RetrieveMetadataChanges(Query=@p1)", "RetrieveMetadataChanges"),
        ("POST", "salesorders/Microsoft.Dynamics.CRM.ExportPdf", "ExportPdf"),
        ("GET", "$metadata?annotations=true", "annotations"),
    ],
)
async def test_what_is_not_there_is_named(org: Organisation, method: str, address: str, feature: str) -> None:
    answer = await org.send(method, address, {})
    assert answer.status == 501
    assert feature in answer.message


async def test_methods_that_make_no_sense(org: Organisation) -> None:
    for method, address in (("POST", "WhoAmI"), ("PATCH", "accounts"), ("GET", "InsertOptionValue"), ("GET", "$batch")):
        assert (await org.send(method, address, {})).status == 405
