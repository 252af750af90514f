"""The simulated Dataverse: what it takes as a value, what it drops, and what it works out by itself."""

from __future__ import annotations

from typing import Any

import pytest
from dataverse_catalogue import bind, catalogue
from dataverse_org import DOLLAR, EURO, Organisation


@pytest.fixture
def org() -> Organisation:
    return Organisation()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"nmae": "x"}, "0x80048d19"),
        ({"Name": "x"}, "0x80048d19"),
        ({"PrimaryContactId@odata.bind": "/contacts(1)"}, "0x80048d19"),
        ({"name": 5}, "0x80048d19"),
        ({"name": ["x"]}, "0x80048d19"),
        ({"creditonhold": "yes"}, "0x80048d19"),
        ({"creditonhold": 1}, "0x80048d19"),
        ({"numberofemployees": "5"}, "0x80048d19"),
        ({"numberofemployees": 5.5}, "0x80048d19"),
        ({"numberofemployees": True}, "0x80048d19"),
        ({"numberofemployees": 2**31}, "0x80048d19"),
        ({"numberofemployees": -1}, "0x8004432f"),
        ({"revenue": "5"}, "0x80048d19"),
        ({"revenue": -1}, "0x80044330"),
        ({"customertypecode": "3"}, "0x80048d19"),
        ({"customertypecode": 99}, "0x8004431A"),
        ({"lastonholdtime": "yesterday"}, "0x80048d19"),
        ({"accountid": "x"}, "0x80048d19"),
        ({"_primarycontactid_value": None}, "0x80060888"),
        ([], "0x80048d19"),
        (b"{", "0x80048d19"),
    ],
)
async def test_bodies_that_do_not_fit_are_refused(org: Organisation, body: Any, code: str) -> None:
    answer = await org.post("accounts", body)
    assert (answer.status, answer.code) == (400, code)
    assert org.names("account") == []


async def test_a_text_may_be_as_long_as_its_column(org: Organisation) -> None:
    assert (await org.post("accounts", {"name": "x" * 160})).status == 204
    answer = await org.post("accounts", {"name": "x" * 161})
    assert (answer.status, answer.code) == (400, "0x80044331")
    assert answer.message == (
        "A validation error occurred.  The length of the 'name' attribute of the 'account' entity exceeded the maximum "
        "allowed length of '160'."
    )


async def test_values_are_normalised(org: Organisation) -> None:
    body = {"name": "", "description": None, "lastonholdtime": "2024-02-03T04:05:06.789+02:00"}
    key = await org.create("accounts", **body)
    row = await org.read(f"accounts({key})")
    assert (row["name"], row["description"], row["lastonholdtime"]) == (None, None, "2024-02-03T02:05:06Z")
    contact = await org.create("contacts", birthdate="1970-01-02")
    assert (await org.read(f"contacts({contact})"))["birthdate"] == "1970-01-02"
    assert (await org.post("contacts", {"birthdate": "1970-01-02T00:00:00Z"})).code == "0x80048d19"


async def test_read_only_columns_and_annotations_are_dropped(org: Organisation) -> None:
    body = {
        "@odata.etag": 'W/"5"',
        "name@OData.Community.Display.V1.FormattedValue": "x",
        "name": "A",
        "createdon": "2001-01-01T00:00:00Z",
        "modifiedon": "2001-01-01T00:00:00Z",
        "versionnumber": 5,
        "creditlimit_base": 5,
        "exchangerate": 5,
    }
    row = await org.read(f"accounts({await org.create('accounts', **body)})")
    assert row["name"] == "A"
    assert row["createdon"] > "2020"
    assert (row["creditlimit_base"], row["exchangerate"]) == (None, None)


async def test_columns_that_are_fixed_after_creation_are_dropped_from_updates(org: Organisation) -> None:
    await org.patch(f"transactioncurrencies({DOLLAR})", {"isocurrencycode": "XXX", "currencyname": "Buck"})
    row = await org.read(f"transactioncurrencies({DOLLAR})")
    assert (row["isocurrencycode"], row["currencyname"]) == ("USD", "Buck")


async def test_state_and_status_go_together(org: Organisation) -> None:
    key = await org.create("accounts", name="A", statecode=1, statuscode=2)
    assert await state(org, key) == (0, 1)
    await org.patch(f"accounts({key})", {"statecode": 1})
    assert await state(org, key) == (1, 2)
    await org.patch(f"accounts({key})", {"statuscode": 1})
    assert await state(org, key) == (0, 1)
    refused = await org.patch(f"accounts({key})", {"statecode": 1, "statuscode": 1})
    assert (refused.status, refused.code) == (400, "0x80048408")
    assert await state(org, key) == (0, 1)
    assert (await org.post("accounts", {"statuscode": 2})).code == "0x80048408"


async def test_a_row_keeps_a_state_and_an_owner(org: Organisation) -> None:
    key = await org.create("accounts", name="A")
    bodies: list[dict[str, Any]] = [{"statecode": None}, {"statuscode": None}, {"ownerid": None}]
    assert [(await org.patch(f"accounts({key})", body)).status for body in bodies] == [400, 400, 400]
    assert await state(org, key) == (0, 1)
    assert (await org.post("accounts", {"ownerid": {"fullname": "X"}})).status == 501


async def state(org: Organisation, key: str) -> tuple[int, int]:
    row = await org.read(f"accounts({key})?$select=statecode,statuscode")
    return row["statecode"], row["statuscode"]


async def test_full_names_and_addresses_are_composed(org: Organisation) -> None:
    key = await org.create(
        "contacts",
        firstname="Ada",
        lastname="Bel",
        fullname="ignored",
        address1_line1="Main 1",
        address1_city="Delft",
        address1_postalcode="2611",
        address1_country="NL",
    )
    row = await org.read(f"contacts({key})")
    assert (row["fullname"], row["address1_composite"]) == ("Ada Bel", "Main 1\r\nDelft, 2611\r\nNL")
    await org.patch(f"contacts({key})", {"lastname": "Cohn", "address1_city": None, "address1_stateorprovince": "ZH"})
    row = await org.read(f"contacts({key})")
    assert (row["fullname"], row["address1_composite"]) == ("Ada Cohn", "Main 1\r\nZH 2611\r\nNL")


async def test_money_brings_currency_rate_and_base_value(org: Organisation) -> None:
    key = await org.create("accounts", name="A")
    assert (await org.read(f"accounts({key})"))["_transactioncurrencyid_value"] is None
    await org.patch(f"accounts({key})", {"creditlimit": 10.006, "revenue": 5})
    assert await money(org, key) == (EURO, 1.0, 10.01, 10.01)
    await org.patch(f"accounts({key})", {"transactioncurrencyid@odata.bind": f"/transactioncurrencies({DOLLAR})"})
    assert await money(org, key) == (DOLLAR, 1.25, 10.01, 8.008)
    await org.patch(f"transactioncurrencies({DOLLAR})", {"exchangerate": 2})
    assert await money(org, key) == (DOLLAR, 1.25, 10.01, 8.008)
    await org.patch(f"accounts({key})", {"creditlimit": 10})
    assert await money(org, key) == (DOLLAR, 2, 10, 5)
    assert (await org.read(f"accounts({key})"))["revenue_base"] == 2.5
    await org.patch(f"accounts({key})", {"creditlimit": None})
    assert await money(org, key) == (DOLLAR, 2, None, None)


async def money(org: Organisation, key: str) -> tuple[Any, ...]:
    row = await org.read(f"accounts({key})")
    names = ("_transactioncurrencyid_value", "exchangerate", "creditlimit", "creditlimit_base")
    return tuple(row[name] for name in names)


async def test_prices_are_rounded_to_the_decimals_of_the_organisation(org: Organisation) -> None:
    group = await org.create("uomschedules", name="PCS", baseuomname="PCS")
    unit = next(iter(org.dataverse.tables["uom"].rows))
    units = {
        "defaultuomscheduleid@odata.bind": f"/uomschedules({group})",
        "defaultuomid@odata.bind": f"/uoms({unit})",
    }
    key = await org.create("products", productnumber="1", name="P", price=1.00005, **units)
    row = await org.read(f"products({key})")
    assert (row["price"], row["productstructure"], row["statecode"], row["statuscode"]) == (1.0001, 1, 2, 0)
    for body, code in (
        ({"productnumber": "1", **units}, "0x80043b06"),
        (units, "0x80043b05"),
        ({"productnumber": "2"}, "0x80043b13"),
        ({"productnumber": "2", "defaultuomscheduleid@odata.bind": f"/uomschedules({group})"}, "0x80043b14"),
    ):
        assert (await org.post("products", body)).code == code


async def test_a_currency_code_is_unique(org: Organisation) -> None:
    body = {"currencyname": "D", "currencysymbol": "D", "currencyprecision": 2, "exchangerate": 2}
    answer = await org.post("transactioncurrencies", body | {"isocurrencycode": "usd"})
    assert (answer.status, answer.code) == (400, "0x80048cf3")
    assert (await org.post("transactioncurrencies", body)).code == "0x80040203"
    rate = body | {"exchangerate": 0, "isocurrencycode": "SEK"}
    assert (await org.post("transactioncurrencies", rate)).status == 400


async def test_the_base_currency_stays_as_it_is(org: Organisation) -> None:
    base = f"transactioncurrencies({EURO})"
    assert (await org.patch(base, {"exchangerate": 2})).status == 400
    assert (await org.patch(base, {"statecode": 1})).code == "0x80048cf4"
    assert (await org.delete(base)).code == "0x80048cff"
    assert (await org.patch(base, {"currencyname": "Euro!"})).status == 204


async def test_a_unit_group_makes_its_base_unit(org: Organisation) -> None:
    group = await org.create("uomschedules", name="NAV PCS", baseuomname="PCS")
    units = (await org.get(f"uoms?$filter=_uomscheduleid_value eq {group}")).rows
    assert [(unit["name"], unit["quantity"], unit["isschedulebaseuom"]) for unit in units] == [("PCS", 1, True)]
    base = units[0]["uomid"]
    bound = {"uomscheduleid@odata.bind": f"/uomschedules({group})", "baseuom@odata.bind": f"/uoms({base})"}
    await org.create("uoms", name="BOX", quantity=12, **bound)
    assert (await org.post("uoms", {"name": "box", "quantity": 1, **bound})).status == 412
    assert (await org.delete(f"uoms({base})")).code == "0x80043b03"
    assert (await org.post("uomschedules", {"name": "X"})).status == 400
    assert (await org.delete(f"uomschedules({group})")).status == 204
    assert org.names("uom") == []


async def test_documents_get_number_and_currency(org: Organisation) -> None:
    shop = await catalogue(org)
    customer = bind(customerid_account=shop.customer, pricelevelid=await shop.price_list())
    order = await org.read(f"salesorders({await org.create('salesorders', name='O', **customer)})")
    assert order["ordernumber"].startswith("ORD-01000-")
    assert order["_transactioncurrencyid_value"] == EURO
    invoice = await org.create("invoices", name="I", invoicenumber="INV-1", **customer)
    assert (await org.read(f"invoices({invoice})"))["invoicenumber"] == "INV-1"
    customer |= bind(pricelevelid=await shop.price_list("Dollars", DOLLAR), transactioncurrencyid=DOLLAR)
    foreign = await org.create("invoices", name="I", **customer)
    line = await org.create(
        "invoicedetails",
        productdescription="write-in",
        isproductoverridden=True,
        quantity=2,
        priceperunit=5,
        **{"invoiceid@odata.bind": f"/invoices({foreign})"},
    )
    row = await org.read(f"invoicedetails({line})")
    assert (row["_transactioncurrencyid_value"], row["priceperunit_base"]) == (DOLLAR, 4)


async def test_notes_tell_what_they_hang_on_and_count_their_file(org: Organisation) -> None:
    account = await org.create("accounts", name="A")
    hangs_on = {"objectid_account@odata.bind": f"/accounts({account})"}
    key = await org.create("annotations", subject="S", documentbody="aGVsbG8=", filename="hello.txt", **hangs_on)

    async def seen() -> tuple[Any, ...]:
        row = await org.read(f"annotations({key})")
        return tuple(row[name] for name in ("filesize", "isdocument", "objecttypecode", "_objectid_value"))

    assert await seen() == (5, True, "account", account)
    other = await org.create("accounts", name="B")
    moved = {"objectid_account@odata.bind": f"/accounts({other})", "objecttypecode": "contact", "filesize": 99}
    await org.patch(f"annotations({key})", moved | {"documentbody": "aGV5"})
    assert await seen() == (3, True, "account", account)
    await org.patch(f"annotations({key})", {"documentbody": None, "filename": None})
    assert await seen() == (0, False, "account", account)
    plain = await org.create("annotations", subject="S", notetext="T", isdocument=True, **hangs_on)
    row = await org.read(f"annotations({plain})")
    assert (row["filesize"], row["isdocument"]) == (0, False)


async def test_posts_stay_as_they_were_made(org: Organisation) -> None:
    account = await org.create("accounts", name="A")
    hangs_on = {"regardingobjectid_account@odata.bind": f"/accounts({account})"}
    assert (await org.post("posts", {"text": "T", "source": 1})).code == "0x80040203"
    key = await org.create("posts", text="Shipped", source=1, type=7, **hangs_on)
    row = await org.read(f"posts({key})")
    assert (row["regardingobjecttypecode"], row["_regardingobjectid_value"]) == ("account", account)
    assert (row["text"], row["largetext"]) == ("Shipped", "Shipped")
    refused = await org.patch(f"posts({key})", {"text": "X"})
    assert (refused.status, refused.message) == (
        400,
        "The 'Update' message does not support entities of type 'post'.",
    )
    assert (await org.bulk("posts", "CreateMultiple", {"text": "X"})).status == 400
    assert (await org.delete(f"accounts({account})")).status == 204
    assert (await org.get(f"posts({key})")).status == 404


async def test_required_columns_are_asked_for(org: Organisation) -> None:
    answer = await org.post("pricelevels", {"description": "no name"})
    assert (answer.status, answer.code) == (400, "0x80040203")
    assert "'name'" in answer.message
