"""Pages of what is sold, at which price, and of what may come of it: what the mappings read and write is there."""

from __future__ import annotations

from typing import Any

import pytest
from business_central_company import COMPANION, STANDARD, World

MAPPED = {
    "accounts": "number displayName blocked directPosting",
    "items": "number displayName unitPrice unitCost standardCost unitVolume grossWeight vendorNo vendorItemNo "
    "inventory baseUnitOfMeasureCode blocked type priceIncludesTax",
    "itemUnitsOfMeasure": "itemNo code qtyPerUnitOfMeasure",
    "resources": "number displayName type blocked unitPrice unitCost vendorNo capacity baseUnitOfMeasureCode",
    "resourceUnitsOfMeasure": "resourceNo code qtyPerUnitOfMeasure",
    "unitGroups": "sourceType sourceId sourceNo",
    "customerPriceGroups": "code description",
    "salesPrices": "itemNo salesType salesCode currencyCode startingDate endingDate minimumQuantity variantCode "
    "unitOfMeasureCode unitPrice priceIncludesVAT",
    "priceListHeaders": "code description priceType amountType currencyCode startingDate endingDate status "
    "allowUpdatingDefaults",
    "priceListLines": "priceListCode lineNo assetType assetNo currencyCode unitOfMeasureCode unitPrice minimumQuantity "
    "priceType amountType variantCode",
    "vendors": "number displayName contact addressLine1 addressLine2 postalCode city country state currencyCode email "
    "faxNo website phoneNumber mobilePhoneNo shipmentMethodCode shippingAgentCode paymentTermsCode primaryContactNo "
    "purchaserCode blocked",
    "opportunities": "number description contactNumber contactCompanyNo salespersonCode status estimatedValue "
    "estimatedClosingDate dateClosed probabilityPercent calculatedCurrentValue",
    "salesReceivablesSetup": "writeInProductType writeInProductNo freightGLAccNo defaultPriceListCode orderNos",
}
SYSTEM = "id lastModifiedDateTime systemCreatedAt systemModifiedBy systemRowVersion"


@pytest.fixture
def world() -> World:
    world = World().with_relations()
    world.system.load("CRONUS", "unitsOfMeasure", [{"code": "PCS"}, {"code": "BOX"}, {"code": "HOUR"}])
    return world


@pytest.mark.parametrize("table", MAPPED)
async def test_every_mapped_field_is_on_the_companion_page(world: World, table: str) -> None:
    fields = f"{MAPPED[table]} {SYSTEM}".replace(" ", ",")
    assert (await world.get(f"{table}?$select={fields}", COMPANION)).status == 200


@pytest.mark.parametrize("table", ["accounts", "items", "vendors", "opportunities"])
async def test_what_api_v2_has_is_on_both_routes(world: World, table: str) -> None:
    assert (await world.get(table, STANDARD)).status == 200


@pytest.mark.parametrize("table", sorted(MAPPED.keys() - {"accounts", "items", "vendors", "opportunities"}))
async def test_what_api_v2_lacks_is_on_the_companion_route_only(world: World, table: str) -> None:
    assert (await world.get(table, STANDARD)).code == "BadRequest_ResourceNotFound"


PRICE: dict[str, Any] = {
    "itemNo": "1000",
    "salesType": "Customer_x0020_Price_x0020_Group",
    "salesCode": "RETAIL",
    "startingDate": "2026-01-01",
    "currencyCode": "USD",
    "unitOfMeasureCode": "PCS",
    "minimumQuantity": 5,
    "unitPrice": 9.5,
}


@pytest.mark.parametrize(
    "other",
    [
        {"salesType": "All_x0020_Customers", "salesCode": ""},
        {"startingDate": "2026-01-02"},
        {"currencyCode": "EUR"},
        {"unitOfMeasureCode": ""},
        {"minimumQuantity": 6},
    ],
)
async def test_a_sales_price_is_one_for_each_value_of_its_key(world: World, other: dict[str, Any]) -> None:
    world.system.load("CRONUS", "items", [{"number": "1000", "baseUnitOfMeasureCode": "PCS"}])
    world.system.load("CRONUS", "itemUnitsOfMeasure", [{"itemNo": "1000", "code": "PCS", "qtyPerUnitOfMeasure": 1}])
    world.system.load("CRONUS", "customerPriceGroups", [{"code": "RETAIL"}])
    first = await world.made("salesPrices", PRICE, COMPANION)
    assert first["currencyCode"] == "USD"
    assert (await world.post("salesPrices", PRICE, COMPANION)).code == "Internal_EntityWithSameKeyExists"
    await world.made("salesPrices", PRICE | other, COMPANION)
    local = "$filter=currencyCode eq 'USD' and minimumQuantity eq 5".replace(" ", "%20")
    assert first["id"] in {row["id"] for row in (await world.get(f"salesPrices?{local}", COMPANION)).values}


async def test_the_item_of_a_price_must_be_there(world: World) -> None:
    refused = await world.post("salesPrices", PRICE, COMPANION)
    assert (refused.status, refused.code) == (400, "Internal_InvalidTableRelation")
    without = await world.post("salesPrices", {"salesType": "All_x0020_Customers", "unitPrice": 1}, COMPANION)
    assert without.code == "BadRequest_RequiredParamNotProvided"
