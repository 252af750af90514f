"""The simulated Dataverse: what sales documents and their lines need, and the amounts that it works out."""

from __future__ import annotations

from typing import Any

import pytest
from dataverse_catalogue import LINES, RETIRED, Catalogue, bind, catalogue, write_in
from dataverse_org import ALICE, DOLLAR, EURO, INTEGRATION, Organisation

TOTALS = (
    "totallineitemamount",
    "totallineitemdiscountamount",
    "totaldiscountamount",
    "totalamountlessfreight",
    "totaltax",
    "totalamount",
)


@pytest.fixture
def org() -> Organisation:
    return Organisation()


async def totals(org: Organisation, address: str, suffix: str = "") -> tuple[Any, ...]:
    row = await org.read(address)
    return tuple(row[name + suffix] for name in TOTALS)


async def amounts(org: Organisation, address: str) -> tuple[Any, ...]:
    row = await org.read(address)
    return tuple(row[name] for name in ("priceperunit", "baseamount", "extendedamount"))


async def shop_with_prices(org: Organisation, currency: str = EURO) -> tuple[Catalogue, str, str]:
    shop = await catalogue(org)
    product, prices = await shop.product(), await shop.price_list(currency=currency)
    await shop.price(prices, product, 10)
    return shop, product, prices


@pytest.mark.parametrize("set_name", LINES)
async def test_amounts_follow_lines_discounts_tax_and_freight(org: Organisation, set_name: str) -> None:
    shop, product, prices = await shop_with_prices(org, DOLLAR)
    key = await shop.document(set_name, prices, DOLLAR, freightamount=7)
    document = f"{set_name}({key})"
    assert await totals(org, document) == (0, 0, 0, 0, 0, 7)
    line = await shop.add(set_name, key, product, 3, manualdiscountamount=2, tax=4.2)
    written = write_in(set_name, key, 100, 2, tax=20)
    await org.create(LINES[set_name][0], **written)
    assert await amounts(org, f"{LINES[set_name][0]}({line})") == (10, 30, 32.2)
    assert await totals(org, document) == (228, 2, 2, 228, 24.2, 259.2)
    assert await totals(org, document, "_base") == (182.4, 1.6, 1.6, 182.4, 19.36, 207.36)
    await org.patch(document, {"discountamount": 8, "discountpercentage": 10})
    assert await totals(org, document) == (228, 2, 32.8, 197.2, 24.2, 228.4)
    await org.patch(f"{LINES[set_name][0]}({line})", {"quantity": 4})
    assert await totals(org, document) == (238, 2, 33.8, 206.2, 24.2, 237.4)
    await org.delete(f"{LINES[set_name][0]}({line})")
    assert await totals(org, document) == (200, 0, 28, 172, 20, 199)
    assert (await org.delete(document)).status == 204
    assert (await org.get(LINES[set_name][0])).rows == []


async def test_the_worked_values_of_an_order(org: Organisation) -> None:
    shop, _, prices = await shop_with_prices(org)
    key = await shop.document("salesorders", prices, discountamount=10, discountpercentage=5)
    await org.create("salesorderdetails", **write_in("salesorders", key, 1000))
    assert (await org.read(f"salesorders({key})"))["totalamountlessfreight"] == 940


async def test_a_discount_may_count_for_each_unit(org: Organisation) -> None:
    organization = f"organizations({org.dataverse.organization['organizationid']})"
    await org.patch(organization, {"discountcalculationmethod": 1})
    shop, _, prices = await shop_with_prices(org)
    key = await shop.document("quotes", prices)
    line = await org.create("quotedetails", **write_in("quotes", key, 100, 200, manualdiscountamount=10))
    assert await amounts(org, f"quotedetails({line})") == (100, 20000, 18000)
    assert await totals(org, f"quotes({key})") == (18000, 2000, 2000, 18000, 0, 18000)


async def test_products_of_numbers_are_rounded_as_they_are_written(org: Organisation) -> None:
    shop, _, prices = await shop_with_prices(org)
    key = await shop.document("invoices", prices)
    body = write_in("invoices", key, 1.115, 3, manualdiscountamount=0.005)
    line = await org.create("invoicedetails", **body)
    assert await amounts(org, f"invoicedetails({line})") == (1.115, 3.35, 3.34)


async def test_a_line_shows_what_its_document_and_its_product_say(org: Organisation) -> None:
    shop, product, prices = await shop_with_prices(org, DOLLAR)
    key = await shop.document("invoices", prices, DOLLAR, **bind_owner(ALICE))
    line = await shop.add("invoices", key, product, 1, priceperunit=99, **bind(transactioncurrencyid=EURO))
    row = await org.read(f"invoicedetails({line})")
    assert (row["_transactioncurrencyid_value"], row["exchangerate"], row["_ownerid_value"]) == (DOLLAR, 1.25, ALICE)
    assert (row["priceperunit"], row["baseamount_base"], row["volumediscountamount"]) == (10, 8, 0)
    assert (row["productname"], row["productnumber"], row["invoicedetailname"]) == ("Product P1", "P1", "Product P1")
    assert (row["producttypecode"], row["lineitemnumber"], row["sequencenumber"]) == (1, 1, 1)
    second = await org.create("invoicedetails", **write_in("invoices", key, 1, lineitemnumber=20000))
    row = await org.read(f"invoicedetails({second})")
    assert (row["invoicedetailname"], row["lineitemnumber"], row["sequencenumber"]) == ("Write-in", 20000, 2)
    await org.patch(f"invoices({key})", bind_owner(INTEGRATION))
    assert (await org.read(f"invoicedetails({line})"))["_ownerid_value"] == INTEGRATION


def bind_owner(user: str) -> dict[str, str]:
    return {"ownerid@odata.bind": f"/systemusers({user})"}


@pytest.mark.parametrize("set_name", LINES)
async def test_a_price_is_the_lists_unless_it_is_overridden(org: Organisation, set_name: str) -> None:
    shop, product, prices = await shop_with_prices(org)
    key = await shop.document(set_name, prices)
    line = f"{LINES[set_name][0]}({await shop.add(set_name, key, product, 2, ispriceoverridden=True, priceperunit=8)})"
    assert await amounts(org, line) == (8, 16, 16)
    await org.patch(line, {"ispriceoverridden": False})
    assert await amounts(org, line) == (10, 20, 20)
    item = next(iter(org.dataverse.tables["productpricelevel"].rows))
    await org.patch(f"productpricelevels({item})", {"amount": 11})
    assert await amounts(org, line) == (10, 20, 20)
    await org.patch(line, {"description": "priced again"})
    assert await amounts(org, line) == (11, 22, 22)
    other = await shop.price_list("Other")
    await shop.price(other, product, 12)
    await org.patch(f"{set_name}({key})", bind(pricelevelid=other))
    assert await amounts(org, line) == (12, 24, 24)
    assert (await totals(org, f"{set_name}({key})"))[-1] == 24


@pytest.mark.parametrize("set_name", ["quotes", "salesorders", "invoices"])
async def test_a_document_needs_customer_and_price_list_in_its_currency(org: Organisation, set_name: str) -> None:
    shop, _, prices = await shop_with_prices(org)
    body: dict[str, Any] = {"name": "X", **bind(customerid_account=shop.customer, pricelevelid=prices)}
    missing = await org.post(set_name, body | {"pricelevelid@odata.bind": None})
    assert (missing.code, missing.message) == ("0x80100010", "PriceList is mandatory for creating entity.")
    missing = await org.post(set_name, body | {"customerid_account@odata.bind": None})
    assert (missing.code, "'customerid'" in missing.message) == ("0x80040203", True)
    foreign = await org.post(set_name, body | bind(transactioncurrencyid=DOLLAR))
    assert (foreign.code, foreign.message) == (
        "0x80048cf6",
        "The currency of the record does not match the currency of the price list.",
    )
    key = await org.create(set_name, **body)
    taken = [{"pricelevelid@odata.bind": None}, {"customerid_account@odata.bind": None}]
    assert [(await org.patch(f"{set_name}({key})", change)).status for change in taken] == [400, 400]
    dollars = await shop.price_list("Dollars", DOLLAR)
    assert (await org.patch(f"{set_name}({key})", bind(pricelevelid=dollars))).code == "0x80048cf6"
    organization = f"organizations({org.dataverse.organization['organizationid']})"
    await org.patch(organization, {"ispricelistmandatory": False})
    assert (await org.post(set_name, body | {"pricelevelid@odata.bind": None})).status == 204


async def test_an_opportunity_needs_no_price_list_before_it_has_products(org: Organisation) -> None:
    shop, product, _ = await shop_with_prices(org)
    key = await org.create("opportunities", name="O")
    await org.create("opportunityproducts", **write_in("opportunities", key, 5))
    refused = await org.post("opportunityproducts", shop.line("opportunities", key, product))
    assert refused.code == "0x80100010"
    assert (await totals(org, f"opportunities({key})"))[-1] == 5


@pytest.mark.parametrize("set_name", LINES)
async def test_a_line_needs_an_active_product_on_the_price_list_in_that_unit(org: Organisation, set_name: str) -> None:
    shop, product, prices = await shop_with_prices(org)
    draft, stray, retired = await shop.product("D", active=False), await shop.product("S"), await shop.product("R")
    family = await org.create("products", name="F", productnumber="F", productstructure=2)
    bundle = await shop.product("B", productstructure=3)
    await org.patch(f"products({retired})", RETIRED)
    other = await org.create("uomschedules", name="KG", baseuomname="KG")
    kilo = next(row["uomid"] for row in org.dataverse.tables["uom"].rows.values() if row["name"] == "KG")
    box = await org.create("uoms", name="BOX", quantity=12, **bind(uomscheduleid=shop.group, baseuom=shop.unit))
    assert other
    key = await shop.document(set_name, prices)
    lines = LINES[set_name][0]
    good = shop.line(set_name, key, product)
    cases: list[tuple[dict[str, Any], int, str]] = [
        (bind(productid=draft), 400, "0x8004F908"),
        (bind(productid=retired), 400, "0x8004F908"),
        (bind(productid=family), 400, "0x8004F984"),
        (bind(productid=bundle), 501, "0x80040203"),
        (bind(productid=stray), 400, "0x80040203"),
        (bind(productid=stray) | {"ispriceoverridden": True, "priceperunit": 1}, 400, "0x80040203"),
        (bind(uomid=kilo), 400, "0x80043b14"),
        (bind(uomid=box), 400, "0x80040203"),
        ({"uomid@odata.bind": None}, 400, "0x80043b0d"),
        ({"productid@odata.bind": None}, 400, "0x80043b11"),
        ({"productdescription": "X"}, 400, "0x80043afb"),
        ({"quantity": None}, 400, "0x80040203"),
        ({f"{LINES[set_name][1]}@odata.bind": None}, 400, "0x80040203"),
    ]
    for change, status, code in cases:
        answer = await org.post(lines, good | change)
        assert (answer.status, answer.code) == (status, code), change
    line = await org.create(lines, **good)
    assert await totals(org, f"{set_name}({key})") == (10, 0, 0, 10, 0, 10)
    refused = await org.delete(f"products({product})")
    assert (refused.status, refused.code) == (405, "0x80040227")
    await org.patch(f"products({product})", RETIRED)
    assert (await org.patch(f"{lines}({line})", {"quantity": 2})).status == 204


@pytest.mark.parametrize("set_name", LINES)
async def test_a_write_in_needs_words_and_no_product(org: Organisation, set_name: str) -> None:
    shop, product, prices = await shop_with_prices(org)
    key = await shop.document(set_name, prices)
    good = write_in(set_name, key, 5)
    for change, code in (
        ({"productdescription": None}, "0x80040203"),
        (bind(productid=product), "0x80040203"),
        (bind(uomid=shop.unit), "0x80043afa"),
    ):
        answer = await org.post(LINES[set_name][0], good | change)
        assert (answer.status, answer.code) == (400, code)
    comment = await org.create(LINES[set_name][0], **good | {"quantity": 0, "priceperunit": None})
    assert await amounts(org, f"{LINES[set_name][0]}({comment})") == (None, 0, 0)


@pytest.mark.parametrize("set_name", ["salesorders", "invoices"])
async def test_whether_a_line_is_a_write_in_is_fixed_at_birth(org: Organisation, set_name: str) -> None:
    shop, product, prices = await shop_with_prices(org)
    key = await shop.document(set_name, prices)
    line = await shop.add(set_name, key, product, producttypecode=1, baseamount=5, extendedamount=5)
    address = f"{LINES[set_name][0]}({line})"
    await org.patch(address, {"isproductoverridden": True, "producttypecode": 2, "quantity": 2})
    row = await org.read(address)
    assert (row["isproductoverridden"], row["producttypecode"], row["extendedamount"]) == (False, 1, 20)


async def test_products_off_the_list_are_taken_where_the_organisation_is_milder(org: Organisation) -> None:
    shop, _, prices = await shop_with_prices(org)
    stray = await shop.product("S")
    org.dataverse.off_list_lines = True
    key = await shop.document("invoices", prices)
    priced = await shop.add("invoices", key, stray, 2, ispriceoverridden=True, priceperunit=3)
    assert await amounts(org, f"invoicedetails({priced})") == (3, 6, 6)
    assert (await org.read(f"invoices({key})"))["pricingerrorcode"] == 0
    wrong = await shop.add("invoices", key, stray, priceperunit=3)
    row = await org.read(f"invoicedetails({wrong})")
    assert (row["priceperunit"], row["pricingerrorcode"]) == (None, 11)
    assert (await org.read(f"invoices({key})"))["pricingerrorcode"] == 1
    assert (await org.post("invoicedetails", shop.line("invoices", key, stray, 1.001))).code == "0x80043b07"


async def test_a_price_list_item_may_ask_for_whole_quantities(org: Organisation) -> None:
    shop, product, prices = await shop_with_prices(org)
    key = await shop.document("quotes", prices)
    await shop.add("quotes", key, product, 1.2345)
    item = next(iter(org.dataverse.tables["productpricelevel"].rows))
    await org.patch(f"productpricelevels({item})", {"quantitysellingcode": 2})
    assert (await org.post("quotedetails", shop.line("quotes", key, product, 1.5))).code == "0x80043b07"
    await shop.add("quotes", key, product, 2)


async def test_the_currency_of_priced_documents_stays(org: Organisation) -> None:
    shop, product, prices = await shop_with_prices(org)
    dollars = bind(transactioncurrencyid=DOLLAR, pricelevelid=await shop.price_list("Dollars", DOLLAR))
    for set_name, code in (("opportunities", "0x80048479"), ("quotes", "0x8004480e")):
        key = await shop.document(set_name, prices)
        await shop.add(set_name, key, product)
        assert (await org.patch(f"{set_name}({key})", dollars)).code == code
        empty = await shop.document(set_name, prices)
        assert (await org.patch(f"{set_name}({empty})", dollars)).status == 204
    order = await shop.document("salesorders", prices)
    await org.patch(f"salesorders({order})", bind(transactioncurrencyid=DOLLAR) | {"description": "X"})
    assert (await org.read(f"salesorders({order})"))["_transactioncurrencyid_value"] == EURO


@pytest.mark.parametrize("set_name", LINES)
async def test_sent_totals_are_overwritten(org: Organisation, set_name: str) -> None:
    shop, product, prices = await shop_with_prices(org)
    key = await shop.document(set_name, prices, totalamount=99)
    assert (await totals(org, f"{set_name}({key})"))[-1] == 0
    await shop.add(set_name, key, product)
    await org.patch(f"{set_name}({key})", {"totalamount": 99, "totaltax": 5})
    assert await totals(org, f"{set_name}({key})") == (10, 0, 0, 10, 0, 10)


async def test_system_pricing_may_be_off(org: Organisation) -> None:
    shop, product, prices = await shop_with_prices(org)
    organization = f"organizations({org.dataverse.organization['organizationid']})"
    await org.patch(organization, {"oobpricecalculationenabled": False})
    key = await shop.document("invoices", prices)
    line = await shop.add("invoices", key, product, 2, priceperunit=3, baseamount=5)
    assert await amounts(org, f"invoicedetails({line})") == (3, None, None)
    await org.patch(f"invoicedetails({line})", {"baseamount": 5.005, "extendedamount": 6})
    assert await amounts(org, f"invoicedetails({line})") == (3, 5.01, 6)
    await org.patch(f"invoices({key})", {"totalamount": 7})
    assert (await org.read(f"invoices({key})"))["totalamount_base"] == 7


async def test_the_order_integration_leaves_amounts_to_the_other_system(org: Organisation) -> None:
    shop, product, prices = await shop_with_prices(org)
    organization = f"organizations({org.dataverse.organization['organizationid']})"
    await org.patch(organization, {"issopintegrationenabled": True})
    org.dataverse.load(
        "systemuser", [{**org.dataverse.tables["systemuser"].rows[INTEGRATION], "isintegrationuser": True}]
    )
    invoice, quote = await shop.document("invoices", prices), await shop.document("quotes", prices)
    line = await shop.add("invoices", invoice, product, 2)
    assert await amounts(org, f"invoicedetails({line})") == (None, None, None)
    await org.patch(f"invoicedetails({line})", {"baseamount": 18, "extendedamount": 21})
    await org.patch(f"invoices({invoice})", {"totalamount": 21, "totaltax": 3})
    assert await amounts(org, f"invoicedetails({line})") == (None, 18, 21)
    assert (await totals(org, f"invoices({invoice})"))[-2:] == (3, 21)
    await shop.add("quotes", quote, product, 2)
    assert (await totals(org, f"quotes({quote})"))[-1] == 20
    org.token = "alice"
    await shop.add("invoices", invoice, product)
    assert (await totals(org, f"invoices({invoice})"))[-1] == 28


async def test_lines_may_ask_not_to_be_worked_out(org: Organisation) -> None:
    shop, product, prices = await shop_with_prices(org)
    key = await shop.document("invoices", prices)
    line = await shop.add("invoices", key, product, 2, priceperunit=3, skippricecalculation=1)
    assert await amounts(org, f"invoicedetails({line})") == (3, None, None)
    await org.patch(f"invoicedetails({line})", {"quantity": 3})
    assert await amounts(org, f"invoicedetails({line})") == (10, 30, 30)
    await org.patch(f"invoicedetails({line})", {"skippricecalculation": 2, "extendedamount": 1})
    assert await amounts(org, f"invoicedetails({line})") == (10, 30, 1)


async def test_many_lines_are_summed_once(org: Organisation) -> None:
    shop, product, prices = await shop_with_prices(org)
    documents = [await shop.document("invoices", prices) for _ in range(2)]
    targets = [shop.line("invoices", documents[number % 2], product, number + 1) for number in range(6)]
    before = org.dataverse.store.version
    answer = await org.bulk("invoicedetails", "CreateMultiple", *targets)
    assert answer.status == 200
    assert org.dataverse.store.version - before == len(targets) + len(documents)
    assert [(await totals(org, f"invoices({key})"))[-1] for key in documents] == [90, 120]
    ids = answer.json["Ids"]
    changes = [{"invoicedetailid": key, "quantity": 1} for key in ids]
    assert (await org.bulk("invoicedetails", "UpdateMultiple", *changes)).status == 204
    assert [(await totals(org, f"invoices({key})"))[-1] for key in documents] == [30, 30]
    targets[3]["quantity"] = None
    assert (await org.bulk("invoicedetails", "CreateMultiple", *targets)).status == 400
    assert [(await totals(org, f"invoices({key})"))[-1] for key in documents] == [30, 30]


async def test_a_document_comes_with_its_lines_or_not_at_all(org: Organisation) -> None:
    shop, product, prices = await shop_with_prices(org)
    line = shop.line("salesorders", "x", product, 2)
    del line["salesorderid@odata.bind"]
    body: dict[str, Any] = {"name": "X", **bind(customerid_account=shop.customer, pricelevelid=prices)}
    answer = await org.post("salesorders", body | {"order_details": [line, line]}, prefer="return=representation")
    assert (answer.status, answer.json["totalamount"]) == (201, 40)
    bad = line | {"quantity": None}
    assert (await org.post("salesorders", body | {"order_details": [line, bad]})).status == 400
    assert len(org.dataverse.tables["salesorder"].rows) == 1


async def test_a_line_may_move_to_another_document(org: Organisation) -> None:
    shop, product, prices = await shop_with_prices(org)
    dollars = await shop.price_list("Dollars", DOLLAR)
    await shop.price(dollars, product, 12)
    old, new = await shop.document("quotes", prices), await shop.document("quotes", dollars, DOLLAR)
    line = f"quotedetails({await shop.add('quotes', old, product)})"
    await org.patch(line, bind(transactioncurrencyid=DOLLAR))
    assert (await org.read(line))["_transactioncurrencyid_value"] == EURO
    await org.patch(line, bind(quoteid=new))
    assert (await org.read(line))["_transactioncurrencyid_value"] == DOLLAR
    assert [(await totals(org, f"quotes({key})"))[-1] for key in (old, new)] == [0, 12]


async def test_deleting_what_a_closed_document_points_to_cuts_it_loose(org: Organisation) -> None:
    shop, _, prices = await shop_with_prices(org)
    order = await shop.document("salesorders", prices)
    invoice = await shop.document("invoices", prices, **bind(salesorderid=order))
    await org.patch(f"invoices({invoice})", {"statecode": 2, "statuscode": 100001})
    assert (await org.delete(f"salesorders({order})")).status == 204
    assert (await org.read(f"invoices({invoice})"))["_salesorderid_value"] is None


async def test_the_customer_of_an_opportunity_is_its_parent(org: Organisation) -> None:
    account = await org.create("accounts", name="A")
    contact = await org.create("contacts", lastname="C")

    async def parents(key: str) -> tuple[Any, ...]:
        row = await org.read(f"opportunities({key})")
        names = ("customerid", "accountid", "contactid", "parentaccountid", "parentcontactid")
        return tuple({account: "A", contact: "C"}.get(row[f"_{name}_value"]) for name in names)

    key = await org.create("opportunities", name="O", **bind(customerid_account=account))
    assert await parents(key) == ("A", "A", None, "A", None)
    await org.patch(f"opportunities({key})", bind(parentcontactid=contact))
    assert await parents(key) == ("A", "A", None, "A", "C")
    await org.patch(f"opportunities({key})", {"parentaccountid@odata.bind": None})
    assert await parents(key) == ("C", None, "C", None, "C")
    await org.patch(f"opportunities({key})", {"parentcontactid@odata.bind": None})
    assert await parents(key) == (None, None, None, None, None)
    await org.patch(f"opportunities({key})", bind(parentaccountid=account, parentcontactid=contact))
    assert await parents(key) == ("A", "A", None, "A", "C")
    other = await org.create("opportunities", name="O", **bind(customerid_contact=contact))
    assert await parents(other) == ("C", None, "C", None, "C")


async def test_revenue_may_be_that_of_the_products(org: Organisation) -> None:
    shop, product, prices = await shop_with_prices(org)
    key = await shop.document("opportunities", prices, estimatedvalue=77)
    await shop.add("opportunities", key, product)
    assert (await org.read(f"opportunities({key})"))["estimatedvalue"] == 77
    await org.patch(f"opportunities({key})", {"isrevenuesystemcalculated": True})
    await shop.add("opportunities", key, product)
    row = await org.read(f"opportunities({key})")
    assert (row["estimatedvalue"], row["estimatedvalue_base"]) == (20, 20)
