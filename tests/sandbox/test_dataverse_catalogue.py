"""The simulated Dataverse: the life of a product, price lists and their items."""

from __future__ import annotations

from typing import Any

import pytest
from dataverse_catalogue import DRAFT, PUBLISHED, RETIRED, REVISED, bind, catalogue
from dataverse_org import DOLLAR, EURO, Organisation


@pytest.fixture
def org() -> Organisation:
    return Organisation()


FROM = {
    "draft": (),
    "active": (PUBLISHED,),
    "retired": (PUBLISHED, RETIRED),
    "revised": (PUBLISHED, REVISED),
}


@pytest.mark.parametrize(
    ("begin", "move", "code"),
    [
        ("draft", PUBLISHED, None),
        ("draft", DRAFT, "0x8004F981"),
        ("draft", RETIRED, "0x8004F978"),
        ("draft", REVISED, "0x8004F913"),
        ("active", PUBLISHED, "0x8004F982"),
        ("active", DRAFT, "0x8004F912"),
        ("active", RETIRED, None),
        ("active", REVISED, None),
        ("retired", PUBLISHED, None),
        ("retired", DRAFT, "0x8004F979"),
        ("retired", RETIRED, "0x8004F980"),
        ("retired", REVISED, "0x8004F913"),
        ("revised", PUBLISHED, None),
        ("revised", DRAFT, "0x8004F912"),
        ("revised", RETIRED, None),
        ("revised", REVISED, "0x8004F883"),
    ],
)
async def test_a_product_moves_from_state_to_state_as_its_life_cycle_allows(
    org: Organisation, begin: str, move: dict[str, int], code: str | None
) -> None:
    key = await (await catalogue(org)).product(active=False)
    for step in FROM[begin]:
        assert (await org.patch(f"products({key})", step)).status == 204
    before = await state(org, key)
    answer = await org.patch(f"products({key})", move)
    if code is None:
        assert answer.status == 204
        assert await state(org, key) == tuple(move.values())
    else:
        assert (answer.status, answer.code) == (400, code)
        assert await state(org, key) == before


async def state(org: Organisation, key: str) -> tuple[int, int]:
    row = await org.read(f"products({key})?$select=statecode,statuscode")
    return row["statecode"], row["statuscode"]


async def test_the_state_that_is_refused_is_told_in_the_platforms_words(org: Organisation) -> None:
    key = await (await catalogue(org)).product(active=False)
    answer = await org.patch(f"products({key})", RETIRED)
    assert answer.message == (
        "You can't retire this product because Product P1 is in draft state. A product should be in Active/ Under "
        "Revision state for retiring."
    )


async def test_a_product_is_born_as_a_draft_without_price_list(org: Organisation) -> None:
    shop = await catalogue(org)
    prices = await shop.price_list()
    key = await shop.product(active=False, statecode=0, statuscode=0, **bind(pricelevelid=prices))
    row = await org.read(f"products({key})")
    assert (row["statecode"], row["statuscode"], row["_pricelevelid_value"]) == (2, 0, None)


async def test_an_organisation_may_want_products_active_at_once(org: Organisation) -> None:
    shop = await catalogue(org)
    family = await org.create("products", name="Family", productnumber="F", productstructure=2)
    organization = f"organizations({org.dataverse.organization['organizationid']})"
    assert (await org.patch(organization, {"createproductswithoutparentinactivestate": True})).status == 204
    assert await state(org, await shop.product("1", active=False)) == (0, 1)
    child = await shop.product("2", active=False, **bind(parentproductid=family))
    assert await state(org, child) == (2, 0)


async def test_the_unit_group_stays_and_decimals_change_in_a_draft_only(org: Organisation) -> None:
    shop = await catalogue(org)
    key = await shop.product(active=False)
    other = await org.create("uomschedules", name="BOX", baseuomname="BOX")
    moved = await org.patch(f"products({key})", bind(defaultuomscheduleid=other))
    assert (moved.status, moved.code) == (400, "0x800422FE")
    unit = next(row["uomid"] for row in org.dataverse.tables["uom"].rows.values() if row["name"] == "BOX")
    assert (await org.patch(f"products({key})", bind(defaultuomid=unit))).code == "0x80043b14"
    assert (await org.patch(f"products({key})", {"quantitydecimal": 3})).status == 204
    await org.patch(f"products({key})", PUBLISHED)
    refused = await org.patch(f"products({key})", {"quantitydecimal": 4})
    assert (refused.code, refused.message) == (
        "0x8004F995",
        "Product, product family and bundle can only be updated in draft state.",
    )
    bodies: list[dict[str, Any]] = [{"quantitydecimal": 3, "price": 5, "quantityonhand": 7}, {"name": "New name"}]
    assert [(await org.patch(f"products({key})", body)).status for body in bodies] == [204, 204]
    org.dataverse.draft_columns = frozenset()
    assert (await org.patch(f"products({key})", {"quantitydecimal": 4})).status == 204


async def test_structure_and_parent_are_fixed_at_birth(org: Organisation) -> None:
    shop = await catalogue(org)
    family = await org.create("products", name="Family", productnumber="F", productstructure=2)
    key = await shop.product(active=False)
    await org.patch(f"products({key})", {"productstructure": 2, **bind(parentproductid=family)})
    row = await org.read(f"products({key})")
    assert (row["productstructure"], row["_parentproductid_value"]) == (1, None)
    refused = await org.post("products", {"productnumber": "2", "productstructure": 2, **bind(parentproductid=key)})
    assert refused.code == "0x8004F973"


async def test_a_family_is_published_revised_and_retired_with_its_children(org: Organisation) -> None:
    shop = await catalogue(org)
    family = await org.create("products", name="Family", productnumber="F", productstructure=2)
    child = await shop.product("1", active=False, **bind(parentproductid=family))
    assert (await org.patch(f"products({child})", PUBLISHED)).code == "0x8004F909"
    publish = f"products({family})/Microsoft.Dynamics.CRM.PublishProductHierarchy"
    assert (await org.get(publish)).status == 405
    assert (await org.post(publish, {})).status == 204
    assert [await state(org, key) for key in (family, child)] == [(0, 1), (0, 1)]
    await org.patch(f"products({family})", REVISED)
    assert await state(org, child) == (3, 3)
    assert (await org.post(publish, {})).status == 204
    await org.patch(f"products({family})", RETIRED)
    assert await state(org, child) == (1, 2)
    assert (await org.patch(f"products({child})", PUBLISHED)).code == "0x80081017"
    late = {"productnumber": "2", "name": "Late", **bind(parentproductid=family)}
    late |= bind(defaultuomscheduleid=shop.group, defaultuomid=shop.unit)
    assert (await org.post("products", late)).code == "0x8004F906"
    single = await shop.product("3")
    refused = await org.post(f"products({single})/Microsoft.Dynamics.CRM.PublishProductHierarchy", {})
    assert refused.status == 400
    assert (await org.post(f"products({single})/Microsoft.Dynamics.CRM.CloneProduct", {})).status == 501
    assert (await org.delete(f"products({family})")).status == 204
    assert (await org.get(f"products({child})")).status == 404


async def test_the_default_price_list_of_a_product_must_price_it(org: Organisation) -> None:
    shop = await catalogue(org)
    key, prices = await shop.product(), await shop.price_list()
    assert (await org.patch(f"products({key})", bind(pricelevelid=prices))).status == 400
    await shop.price(prices, key)
    assert (await org.patch(f"products({key})", bind(pricelevelid=prices))).status == 204
    assert (await org.read(f"products({key})"))["_pricelevelid_value"] == prices


async def test_a_price_follows_its_list_and_its_product(org: Organisation) -> None:
    shop = await catalogue(org)
    product, prices = await shop.product(), await shop.price_list(currency=DOLLAR)
    key = await shop.price(prices, product, 10.00005, productnumber="ignored", **bind(transactioncurrencyid=EURO))
    row = await org.read(f"productpricelevels({key})")
    assert (row["_transactioncurrencyid_value"], row["productnumber"]) == (DOLLAR, "P1")
    assert (row["amount"], row["amount_base"], row["exchangerate"]) == (10.0001, 8.0001, 1.25)
    assert (row["pricingmethodcode"], row["_uomscheduleid_value"]) == (1, shop.group)
    moved = await org.patch(f"productpricelevels({key})", bind(transactioncurrencyid=EURO))
    assert (moved.code, moved.message) == (
        "0x80048cea",
        "The currency of the price list item does not match the currency of the price list.",
    )
    other = await shop.price_list("Other", DOLLAR)
    assert (await org.patch(f"productpricelevels({key})", {"amount": 12, **bind(pricelevelid=other)})).status == 204
    row = await org.read(f"productpricelevels({key})")
    assert (row["amount"], row["_pricelevelid_value"]) == (12, prices)
    await org.patch(f"products({product})", {"productnumber": "P2"})
    assert (await org.read(f"productpricelevels({key})"))["productnumber"] == "P2"


async def test_a_product_has_one_price_for_each_unit_of_a_list(org: Organisation) -> None:
    shop = await catalogue(org)
    product, prices = await shop.product(), await shop.price_list()
    base = bind(uomscheduleid=shop.group, baseuom=shop.unit)
    box = await org.create("uoms", name="BOX", quantity=12, **base)
    key = await shop.price(prices, product)
    body = bind(pricelevelid=prices, productid=product, uomid=shop.unit) | {"amount": 11}
    twice = await org.post("productpricelevels", body)
    assert (twice.code, twice.message) == (
        "0x80043b08",
        "This product and unit combination has a price for this price list.",
    )
    assert (await org.post("productpricelevels", body | bind(uomid=box))).status == 204
    assert (await org.patch(f"productpricelevels({key})", bind(uomid=box))).code == "0x80043b08"


async def test_a_price_needs_list_product_unit_and_amount_that_fit(org: Organisation) -> None:
    shop = await catalogue(org)
    product, prices = await shop.product(), await shop.price_list()
    other = await org.create("uomschedules", name="KG", baseuomname="KG")
    kilo = next(row["uomid"] for row in org.dataverse.tables["uom"].rows.values() if row["name"] == "KG")
    family = await org.create("products", name="Family", productnumber="F", productstructure=2)
    retired = await shop.product("R")
    await org.patch(f"products({retired})", RETIRED)
    body: dict[str, Any] = bind(pricelevelid=prices, productid=product, uomid=shop.unit) | {"amount": 1}
    assert (await org.post("productpricelevels", {**body, "uomid@odata.bind": None})).code == "0x80043b0d"
    for name in ("pricelevelid@odata.bind", "productid@odata.bind", "amount"):
        assert (await org.post("productpricelevels", {**body, name: None})).code == "0x80040203"
    for change, code in (
        (bind(uomid=kilo), "0x80043b14"),
        (bind(uomscheduleid=other), "0x80043b14"),
        (bind(productid=family), "0x8004F902"),
        (bind(productid=retired), "0x80061009"),
    ):
        assert (await org.post("productpricelevels", body | change)).code == code
    refused = await org.post("productpricelevels", body | {"pricingmethodcode": 2, "percentage": 10})
    assert (refused.status, "pricing method" in refused.message) == (501, True)
    assert org.dataverse.tables["productpricelevel"].rows == {}


async def test_a_price_list_keeps_its_currency_and_its_own_name(org: Organisation) -> None:
    shop = await catalogue(org)
    key = await org.create("pricelevels", name="Plain", statecode=1)
    row = await org.read(f"pricelevels({key})")
    assert (row["_transactioncurrencyid_value"], row["statecode"], row["statuscode"]) == (EURO, 0, 100001)
    await org.patch(f"pricelevels({key})", {"description": "X", **bind(transactioncurrencyid=DOLLAR)})
    assert (await org.read(f"pricelevels({key})"))["_transactioncurrencyid_value"] == EURO
    other = await shop.price_list("Other")
    refused = await org.patch(f"pricelevels({other})", {"name": "plain"})
    assert (refused.code, refused.message) == ("0x80043b0f", "The name already exists.")
    assert (await org.post("pricelevels", {"name": "PLAIN"})).code == "0x80043b0f"


async def test_a_default_price_list_stays_active(org: Organisation) -> None:
    prices = await (await catalogue(org)).price_list()
    account = await org.create("accounts", name="A", **bind(defaultpricelevelid=prices))
    off = {"statecode": 1, "statuscode": 100002}
    assert (await org.patch(f"pricelevels({prices})", off)).code == "0x80043b04"
    await org.patch(f"accounts({account})", {"defaultpricelevelid@odata.bind": None})
    assert (await org.patch(f"pricelevels({prices})", off)).status == 204
    assert (await org.patch(f"pricelevels({prices})", {"statecode": 0})).status == 204


async def test_what_is_used_cannot_be_deleted(org: Organisation) -> None:
    shop = await catalogue(org)
    product, prices = await shop.product(), await shop.price_list()
    item = await shop.price(prices, product)
    for address in (f"pricelevels({prices})", f"uoms({shop.unit})"):
        assert (await org.delete(address)).status in (400, 405)
    assert (await org.delete(f"pricelevels({prices})")).code == "0x80040227"
    await org.patch(f"products({product})", bind(pricelevelid=prices))
    await org.delete(f"productpricelevels({item})")
    assert (await org.delete(f"pricelevels({prices})")).code == "0x80040227"
    assert (await org.patch(f"products({product})", {"pricelevelid@odata.bind": None})).status == 204
    assert (await org.delete(f"pricelevels({prices})")).status == 204
    prices = await shop.price_list()
    await shop.price(prices, product)
    assert (await org.delete(f"products({product})")).status == 204
    assert org.dataverse.tables["productpricelevel"].rows == {}


async def test_a_price_list_of_an_opportunity_may_go(org: Organisation) -> None:
    prices = await (await catalogue(org)).price_list()
    key = await org.create("opportunities", name="O", **bind(pricelevelid=prices))
    assert (await org.delete(f"pricelevels({prices})")).status == 204
    assert (await org.read(f"opportunities({key})"))["_pricelevelid_value"] is None
