"""Reading: addresses, envelopes, query options with their refusals, paging."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from importlib.resources import files
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from business_central_company import COMPANION, OTHER, STANDARD, USER, Answer, World

from koppel.sandbox.business_central import Limits
from koppel.sandbox.business_central.users import ROUTE, login_rows
from koppel.sandbox.tokens import BOB

ROOT_OTHER = "https://bc.example/bc/v2.0/sandbox"
AUTOMATION = f"{STANDARD.removesuffix('v2.0')}{ROUTE}"
ZERO = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
async def world() -> World:
    world = World()
    for number, city in enumerate(["Delft", "Delft", "Gouda", "Leiden", "Leiden"]):
        await world.made("customers", {"number": f"C{number}", "displayName": f"Customer {number}", "city": city})
        world.clock.advance(seconds=1)
    return world


async def numbers(world: World, query: str, root: str = STANDARD) -> list[str]:
    return [row["number"] for row in (await world.get(f"customers?{query}", root)).values]


async def test_every_call_needs_a_known_user(world: World) -> None:
    answer = await world.get("customers", token="nobody")
    assert (answer.status, answer.code) == (401, "Authentication_InvalidCredentials")


async def test_a_user_may_lack_a_right_on_a_table(world: World) -> None:
    world.system.settings.missing[OTHER] = {("customers", "read")}
    assert (await world.get("customers", token="two")).status == 403
    assert (await world.get("contacts", token="two")).status == 200
    assert (await world.get("customers")).status == 200


async def test_the_automation_api_tells_users_to_read(world: World) -> None:
    world.system.load("CRONUS", "users", login_rows([BOB]))
    row = (await world.get(f"users({BOB.id})", AUTOMATION)).json
    assert (row["userSecurityId"], row["userName"], row["displayName"]) == (BOB.id, "BOB", "Bob Hohman")
    assert list(row)[2:] == ["userSecurityId", "userName", "displayName", "state", "expiryDate", "contactEmail"]
    found = await world.get(f"users?$filter=userSecurityId eq {BOB.id}&$select=displayName", AUTOMATION)
    assert [user["displayName"] for user in found.values] == ["Bob Hohman"]
    assert (await world.get("users")).status == 404


async def test_companies_by_id_by_name_and_listed(world: World) -> None:
    listed = (await world.ask("GET", f"{STANDARD}/companies")).json
    assert listed["@odata.context"] == f"{STANDARD}/$metadata#companies"
    (row,) = listed["value"]
    assert row["name"] == "CRONUS"
    assert "@odata.etag" not in row
    for key in (row["id"], "name='CRONUS'", "name=%27CRONUS%27", f"id={row['id']}"):
        single = (await world.ask("GET", f"{STANDARD}/companies({key})")).json
        assert single["id"] == row["id"]
        assert (await world.ask("GET", f"{STANDARD}/companies({key})/customers")).status == 200
    assert (await world.ask("POST", f"{STANDARD}/companies", {})).status == 405
    missing = await world.ask("GET", f"{STANDARD}/companies({ZERO})/customers")
    assert (missing.status, missing.code) == (404, "Internal_CompanyNotFound")


async def test_a_company_may_be_named_in_the_query_or_a_header(world: World) -> None:
    for company in ("CRONUS", world.company.id):
        assert len((await world.ask("GET", f"{STANDARD}/customers?company={company}")).values) == 5
    assert len((await world.ask("GET", f"{STANDARD}/customers", headers={"Company": "CRONUS"})).values) == 5
    assert (await world.ask("GET", f"{STANDARD}/customers")).code == "Internal_CompanyNotFound"


async def test_a_collection_has_an_envelope_and_rows_with_tags_first(world: World) -> None:
    answer = await world.get("customers")
    assert answer.json["@odata.context"] == f"{STANDARD}/$metadata#companies({world.company.id})/customers"
    assert answer.headers["odata-version"] == "4.0"
    assert answer.headers["content-type"] == "application/json; odata.metadata=minimal; odata.streaming=true"
    assert int(answer.headers["content-length"]) == len(answer.content)
    row = answer.values[0]
    assert list(row)[:3] == ["@odata.etag", "id", "number"]
    assert list(row)[-1] == "lastModifiedDateTime"
    assert (await world.get("contacts")).values == []


async def test_empties_as_the_wire_shows_them(world: World) -> None:
    row = (await world.get("customers")).values[0]
    assert row["email"] == ""
    assert row["blocked"] == "_x0020_"
    assert row["type"] == "Company"
    assert row["creditLimit"] == 0
    assert row["taxLiable"] is False
    assert row["paymentTermsId"] == row["currencyId"] == ZERO
    assert row["currencyCode"] == "USD"
    setup = (await world.get("generalLedgerSetup")).values[0]
    assert setup["allowPostingFrom"] == "0001-01-01"
    assert setup["localCurrencyCode"] == "USD"


async def test_the_companion_page_adds_fields_and_system_fields(world: World) -> None:
    standard = (await world.get("customers?$top=1")).values[0]
    companion = (await world.get("customers?$top=1", COMPANION)).values[0]
    added = {"contact", "faxNo", "shippingAgentCode", "shipmentMethodCode", "paymentTermsCode", "primaryContactNo"}
    system = {"systemCreatedAt", "systemModifiedBy", "systemRowVersion"}
    assert added | system | {"mobilePhoneNo"} <= companion.keys() - standard.keys()
    assert companion["systemModifiedBy"] == USER
    assert companion["@odata.etag"] != standard["@odata.etag"]
    shared = standard.keys() - {"@odata.etag"}
    assert {name: companion[name] for name in shared} == {name: standard[name] for name in shared}


async def test_a_tag_has_the_shape_of_the_real_ones(world: World) -> None:
    row = (await world.get("customers")).values[0]
    assert row["@odata.etag"].startswith('W/"')
    decoded = b64decode(row["@odata.etag"][3:-1]).decode()
    length, rest = decoded[1:].split(";", 1)
    assert decoded == f"'{length};{rest[: int(length)]}1;00;'"
    assert rest[: int(length)].isdecimal()


async def test_a_single_row_and_a_missing_one(world: World) -> None:
    row = (await world.get("customers")).values[2]
    single = (await world.get(f"customers({row['id'].upper()})")).json
    assert single.pop("@odata.context") == f"{STANDARD}/$metadata#companies({world.company.id})/customers/$entity"
    assert single == row
    missing = await world.get(f"customers({ZERO})")
    assert (missing.status, missing.code) == (404, "Internal_RecordNotFound")
    assert missing.json["error"]["message"].count("  CorrelationId:  ") == 1
    assert (await world.get("customers(C0)")).code == "BadRequest_NotFound"


async def test_addresses_that_lead_nowhere(world: World) -> None:
    assert (await world.get("nothings")).code == "BadRequest_ResourceNotFound"
    assert (await world.ask("GET", f"{ROOT_OTHER}/api/beta")).status == 501
    assert (await world.ask("GET", f"{ROOT_OTHER}/other")).status == 404


@pytest.mark.parametrize("path", ["locations", "customers({id})/picture", "customers?$expand=picture", "taxAreas"])
async def test_what_is_not_simulated_says_so(world: World, path: str) -> None:
    row = (await world.get("customers")).values[0]
    answer = await world.get(path.replace("{id}", row["id"]))
    assert answer.status == 501
    assert "does not support" in answer.json["error"]["message"]


async def test_an_address_may_name_the_tenant(world: World) -> None:
    url = f"https://bc.example/bc/v2.0/contoso.com/sandbox/api/v2.0/companies({world.company.id})/customers"
    assert len((await world.ask("GET", url)).values) == 5


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("$filter=number eq 'c1'", ["C1"]),
        ("$filter=number eq 'C1' or number eq 'C3'", ["C1", "C3"]),
        ("$filter=city eq 'Delft' and number gt 'C0'", ["C1"]),
        ("$filter=city eq 'delft'", []),
        ("$filter=startswith(city,'Le')", ["C3", "C4"]),
        ("$filter=contains(displayName,'mer 2')", ["C2"]),
        ("$filter=endswith(displayName,'2')", ["C2"]),
        ("$filter=blocked eq '_x0020_' and number lt 'C2'", ["C0", "C1"]),
        ("$filter=currencyCode eq 'USD' and city ne 'Delft'", ["C2", "C3", "C4"]),
        ("$filter=lastModifiedDateTime gt 2026-03-01T12:00:02Z", ["C3", "C4"]),
        ("$filter=lastModifiedDateTime ge 2026-03-01T12:00:02Z", ["C2", "C3", "C4"]),
        ("$filter=lastModifiedDateTime ge 2026-03-01T12:00:02Z and city eq 'Leiden'", ["C3", "C4"]),
        ("$filter=lastModifiedDateTime lt 2026-03-01T12:00:01.5Z", ["C0", "C1"]),
        ("$filter=city in ('Gouda','Leiden')&$schemaversion=2.1", ["C2", "C3", "C4"]),
        ("$filter=contains(tolower(city),'leid')&$schemaversion=2.1", ["C3", "C4"]),
        ("$filter=number eq 'C0' and defaultDimensions/any(d:d/id ne null)", ["C0"]),
        ("$filter=contactsInformation/any(c:c/contactNumber eq 'X')", ["C0", "C1", "C2", "C3", "C4"]),
        ("$orderby=city desc,number desc", ["C4", "C3", "C2", "C1", "C0"]),
        ("$orderby=lastModifiedDateTime desc&$top=2", ["C4", "C3"]),
        ("$orderby=displayName&$skip=1&$top=2", ["C1", "C2"]),
        ("$skip=4", ["C4"]),
        ("$top=0", []),
    ],
)
async def test_query_options(world: World, query: str, expected: list[str]) -> None:
    assert await numbers(world, query.replace(" ", "%20")) == expected
    assert await numbers(world, query.replace(" ", "%20"), COMPANION) == expected


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("$filter=city eq 'Delft' or number eq 'C4'", 501, "BadRequest_MethodNotImplemented"),
        ("$filter=city in ('Delft')", 501, "BadRequest_MethodNotImplemented"),
        ("$filter=contains(tolower(city),'d')", 501, "BadRequest_MethodNotImplemented"),
        ("$filter=not startswith(city,'D')", 501, "BadRequest_MethodNotImplemented"),
        ("$filter=city eq null", 501, "BadRequest_MethodNotImplemented"),
        ("$filter=indexof(city,'D') eq 0&$schemaversion=2.1", 501, "BadRequest_MethodNotImplemented"),
        ("$filter=town eq 'Delft'", 400, "BadRequest"),
        ("$filter=creditLimit eq 'x'", 400, "BadRequest"),
        ("$filter=id eq 'x'", 400, "BadRequest"),
        ("$filter=blocked eq 'Nothing'", 400, "BadRequest"),
        ("$filter=city eq", 400, "BadRequest"),
        ("$filter=number eq 'C123456789012345678901'", 400, "Application_FilterErrorException"),
        ("$select=town", 400, "BadRequest"),
        ("$orderby=town", 400, "BadRequest"),
        ("$orderby=city sideways", 400, "BadRequest"),
        ("$top=-1", 400, "BadRequest"),
        ("$skiptoken=nonsense", 400, "BadRequest"),
        ("$wrong=1", 400, "BadRequest"),
        ("$search=Delft", 501, "BadRequest_MethodNotImplemented"),
        ("$apply=aggregate(creditLimit with sum as s)", 501, "BadRequest_MethodNotImplemented"),
        ("$top=20001", 501, "BadRequest_MethodNotImplemented"),
        ("$expand=currency($expand=x)", 501, "BadRequest_MethodNotImplemented"),
        ("$expand=nothing", 400, "BadRequest"),
    ],
)
async def test_refused_query_options(world: World, query: str, status: int, code: str) -> None:
    answer = await world.get(f"customers?{query.replace(' ', '%20')}")
    assert (answer.status, answer.code) == (status, code)


async def test_select_keeps_key_and_tag(world: World) -> None:
    row = (await world.get("customers?$select=city,displayName&$top=1")).values[0]
    assert list(row) == ["@odata.etag", "id", "displayName", "city"]


async def test_counts(world: World) -> None:
    counted = (await world.get("customers?$count=true&$top=1&$filter=city%20eq%20'Delft'")).json
    assert counted["@odata.count"] == 2
    assert len(counted["value"]) == 1
    plain = await world.get("customers/$count?$filter=city%20eq%20'Leiden'")
    assert (plain.content, plain.headers["content-type"]) == (b"2", "text/plain")
    assert (await world.ask("GET", f"{STANDARD}/companies/$count")).content == b"1"


async def pages(world: World, path: str, size: int) -> list[Answer]:
    """Follows the links to the end."""
    found = [await world.get(path, headers={"Prefer": f"odata.maxpagesize={size}"})]
    while link := found[-1].json.get("@odata.nextLink"):
        found.append(await world.ask("GET", link, headers={"Prefer": f"odata.maxpagesize={size}"}))
    return found


@pytest.mark.parametrize(
    "query",
    [
        "",
        "$orderby=city%20desc",
        "$filter=city%20ne%20'Gouda'",
        "$filter=lastModifiedDateTime%20ge%202026-01-01T00:00:00Z",
    ],
)
async def test_pages_hold_every_row_once_in_order(world: World, query: str) -> None:
    whole = (await world.get(f"customers?{query}")).values
    found = await pages(world, f"customers?{query}", 2)
    assert [row for page in found for row in page.values] == whole
    assert [len(page.values) for page in found] == [2] * (len(whole) // 2) + [1] * (len(whole) % 2)


async def test_a_full_last_page_has_no_link_and_options_stay_in_links(world: World) -> None:
    first, second = await pages(world, "customers?$select=city&$filter=city%20ne%20'Gouda'&$count=true", 2)
    assert "$select=city" in first.json["@odata.nextLink"]
    assert list(second.values[0]) == ["@odata.etag", "id", "city"]
    assert second.json["@odata.count"] == 4
    assert "@odata.nextLink" not in second.json


async def test_paging_goes_on_by_key_whatever_was_deleted_or_inserted_before(world: World) -> None:
    first = await world.get("customers?$skip=1", headers={"Prefer": "odata.maxpagesize=2"})
    await world.delete(f"customers({first.values[1]['id']})")
    await world.made("customers", {"number": "A", "displayName": "Early"})
    second = await world.ask("GET", first.json["@odata.nextLink"])
    assert [row["number"] for row in second.values] == ["C3", "C4"]


async def test_the_largest_page_is_that_of_the_service(world: World) -> None:
    world.system.settings.page_size = 3
    found = await pages(world, "customers", 1000)
    assert [len(page.values) for page in found] == [3, 2]
    assert "@odata.nextLink" not in (await world.get("customers?$top=2")).json


async def test_references_are_expanded_one_level(world: World) -> None:
    await world.made("customers", {"number": "E", "displayName": "E", "currencyCode": "EUR"})
    row = (await world.get("customers?$filter=number%20eq%20'E'&$expand=currency($select=code),paymentTerm")).values[0]
    assert row["currency"].keys() == {"@odata.etag", "id", "code"}
    assert row["currency"]["code"] == "EUR"
    assert row["paymentTerm"] is None
    followed = (await world.get(f"customers({row['id']})/currency")).json
    assert followed["displayName"] == "Euro"
    assert (await world.get(f"customers({row['id']})/paymentTerm")).status == 204


async def test_contacts_information_demands_a_parent() -> None:
    world = World().with_relations()
    customer = await world.made("customers", {"displayName": "Acme"})
    bare = await world.get("contactsInformation")
    assert (bare.status, bare.code) == (400, "Application_DialogException")
    (company,) = (await world.get("contacts")).values
    person = {"type": "Person", "displayName": "Ann Bee", "companyNumber": company["number"]}
    await world.made("contacts", person)
    by_parent = (await world.get(f"customers({customer['id']})/contactsInformation")).values
    assert [row["contactName"] for row in by_parent] == ["Acme", "Ann Bee"]
    related = f"relatedId%20eq%20{customer['id']}%20and%20relatedType%20eq%20'Customer'"
    assert (await world.get(f"contactsInformation?$filter={related}")).values == by_parent
    assert (await world.get(f"customers({customer['id']})/contactsInformation/$count")).status == 501
    expand = "customers?$expand=contactsInformation($filter=contactType%20eq%20'Person';$select=contactName)"
    (row,) = (await world.get(expand)).values
    assert [found["contactName"] for found in row["contactsInformation"]] == ["Ann Bee"]


async def test_metadata_says_what_the_pages_are(world: World) -> None:
    found = {root: await world.ask("GET", f"{root}/$metadata") for root in (STANDARD, COMPANION)}
    edm = "{http://docs.oasis-open.org/odata/ns/edm}"
    models = {root: ElementTree.fromstring(answer.content) for root, answer in found.items()}

    def lengths(root: str, entity: str) -> dict[str, str | None]:
        path = f".//{edm}EntityType[@Name='{entity}']/{edm}Property"
        return {field.attrib["Name"]: field.get("MaxLength") for field in models[root].iterfind(path)}

    assert found[STANDARD].headers["content-type"] == "application/xml"
    assert lengths(STANDARD, "customer")["displayName"] == "100"
    assert "faxNo" not in lengths(STANDARD, "customer")
    assert lengths(COMPANION, "customer")["faxNo"] == "30"
    assert lengths(COMPANION, "shippingAgent")["code"] == "10"
    names = {kind.attrib["Name"] for kind in models[COMPANION].iter(f"{edm}EntityType")}
    assert names.isdisjoint(kind.attrib["Name"] for kind in models[COMPANION].iter(f"{edm}EnumType"))
    sets = (await world.ask("GET", STANDARD)).json["value"]
    assert {"name": "customers", "kind": "EntitySet", "url": "customers"} in sets
    assert all(entry["name"] != "shippingAgents" for entry in sets)


async def test_streams_are_links(world: World) -> None:
    (row,) = (await world.get("companyInformation")).values
    link = row["picture@odata.mediaReadLink"]
    assert link.startswith(STANDARD)
    assert (await world.ask("GET", link)).status == 204
    assert row["currencyCode"] == "USD"


async def test_too_many_requests_with_and_without_a_hint(world: World) -> None:
    world.system.settings.limits = Limits(requests=2)
    statuses = [(await world.get("customers")).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    refused = await world.get("customers")
    assert refused.code == "Application_TooManyRequests"
    assert "retry-after" not in refused.headers
    assert (await world.get("customers", token="two")).status == 200
    world.system.settings.limits = Limits(requests=1, retry_after=7)
    assert (await world.get("customers")).status == 200
    assert (await world.get("customers")).headers["retry-after"] == "7"


async def test_more_than_a_queue_holds_is_refused(world: World) -> None:
    world.system.settings.limits = Limits(at_once=1, queue=1, duration=0.01)
    answers: list[Any] = await asyncio.gather(*(world.get("customers") for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [200, 200, 429, 429]


async def test_a_body_over_the_limit(world: World) -> None:
    world.system.settings.limits = Limits(body=10)
    assert (await world.post("customers", {"displayName": "A long name"})).status == 413


def standard_columns() -> list[tuple[str, str]]:
    """Table and column of every Business Central column that the standard mappings name."""
    texts = [
        path.read_text("utf-8") for path in (files("koppel.mapping") / "standard").iterdir() if ".yaml" in path.name
    ]
    mappings = [yaml.safe_load(text) for text in texts]
    return [
        (mapping["business_central"]["table"], field["business_central"])
        for mapping in mappings
        for field in mapping["fields"]
        if "business_central" in field
    ]


async def test_the_companion_pages_show_every_column_of_the_standard_mappings(world: World) -> None:
    columns = standard_columns()
    assert len(columns) > 40
    for table in {table for table, _ in columns}:
        names = [name for owner, name in columns if owner == table]
        assert (await world.get(f"{table}?$top=1&$select={','.join(names)}", COMPANION)).status == 200
