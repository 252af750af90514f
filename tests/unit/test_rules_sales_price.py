"""Sales prices: which of several is sent, in which unit and currency, and what a group waits for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from koppel.engine.action import Refusal
from koppel.engine.rule import RULES, Found
from koppel.odata.records import Scalar
from koppel.rules import sales_price
from rule_batches import Tables, batch_of, fetched

Row = dict[str, Scalar]
GROUP = "Customer_x0020_Price_x0020_Group"
TODAY = "2024-06-01"


def price(amount: float, **values: Scalar) -> Row:
    """A price for item A of group GOLD, without limits; a test's prices have the ids r-0, r-1, ... in their order."""
    row: Row = {
        "itemNo": "A",
        "salesType": GROUP,
        "salesCode": "GOLD",
        "currencyCode": "EUR",
        "startingDate": "0001-01-01",
        "endingDate": "0001-01-01",
        "minimumQuantity": 0,
        "variantCode": "",
        "unitOfMeasureCode": "",
        "unitPrice": amount,
    }
    return {**row, **values}


def here(
    prices: Sequence[Row], *, coupled: str = "AB", blocked: str = "", units: Sequence[str] = ("PCS", "BOX")
) -> Tables:
    """Both systems: local currency EUR, items A and B with the base unit PCS, the group's list in EUR."""
    rows: list[Found] = [{"id": f"r-{number}", **row} for number, row in enumerate(prices)]
    return {
        "generalLedgerSetup": [{"localCurrencyCode": "EUR"}],
        "transactioncurrency": [{"transactioncurrencyid": "euro", "isocurrencycode": "EUR", "exchangerate": 1}],
        "salesPrices": rows,
        "items": [{"number": item, "baseUnitOfMeasureCode": "PCS", "inside": item not in blocked} for item in "AB"],
        "ITEM-PRODUCT": [{"key": item, "dataverse_id": f"product {item}"} for item in coupled],
        "CURRENCY": [{"key": "USD", "dataverse_id": "dollar"}],
        "CUSTPRCGRP-PRICE": [{"key": "GOLD", "dataverse_id": "list"}],
        "pricelevel": [{"pricelevelid": "list", "transactioncurrencyid": "euro"}],
        "UNIT OF MEASURE": [{"key": code, "dataverse_id": f"group {code}"} for code in units],
        "uomschedule": [{"uomscheduleid": f"group {code}", "name": f"NAV {code}", "statecode": 0} for code in units],
        "uom": [
            {
                "uomid": f"unit {code}",
                "name": code,
                "uomscheduleid": f"group {code}",
                "quantity": 1,
                "isschedulebaseuom": True,
            }
            for code in units
        ],
    }


def of_prices(rule: str, prices: Sequence[Row]) -> list[Scalar | Refusal | None]:
    """What a rule makes of these prices."""
    names = ("salesCode", "itemNo", "unitOfMeasureCode", "currencyCode", "unitPrice")
    batch = batch_of({name: [row[name] for row in prices] for name in names})
    found: list[Scalar | Refusal | None] = RULES[rule].function(fetched(RULES[rule], batch, here(prices)))
    return found


def amounts(*prices: Row) -> list[Scalar]:
    """What is sent of each price; the reason where it is not."""
    found = of_prices("sales_price.amount", prices)
    told: list[Scalar] = []
    for one in found:
        if isinstance(one, Refusal):
            assert (one.code, one.skip, one.outside) == ("SPR-07", True, True)
            told.append(one.message.partition(";")[0])
        else:
            told.append(one)
    return told


OTHER = "another price of the item is valid"


@pytest.mark.rule("SPR-07")
class TestWhichPriceIsSent:
    def test_the_only_one(self) -> None:
        assert amounts(price(10)) == [10]

    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            ({"startingDate": "2024-06-02"}, "it is not valid before 2024-06-02"),
            ({"endingDate": "2024-05-31"}, "it was valid until 2024-05-31"),
            ({"variantCode": "RED"}, "it is for the variant RED"),
            ({"minimumQuantity": 10}, "it counts from a quantity of 10"),
            ({"minimumQuantity": 1.5}, "it counts from a quantity of 1.5"),
        ],
    )
    def test_none_that_is_not_for_everybody_today(self, values: Row, reason: str) -> None:
        assert amounts(price(10, **values)) == [reason]
        assert amounts(price(10, **values), price(12)) == [reason, 12]

    @pytest.mark.parametrize(
        "values",
        [
            {"startingDate": TODAY},
            {"endingDate": TODAY},
            {"minimumQuantity": 1},
            {"startingDate": "", "endingDate": ""},
        ],
    )
    def test_both_ends_count(self, values: Row) -> None:
        assert amounts(price(10, **values)) == [10]

    def test_the_smallest_quantity_comes_before_the_latest_day(self) -> None:
        assert amounts(price(10, minimumQuantity=1, startingDate=TODAY), price(12)) == [OTHER, 12]

    def test_the_latest_day_comes_before_the_lowest_price(self) -> None:
        assert amounts(price(10), price(12, startingDate="2024-05-01")) == [OTHER, 12]

    def test_else_it_is_the_lowest(self) -> None:
        assert amounts(price(12), price(10), price(11, variantCode="RED")) == [OTHER, 10, "it is for the variant RED"]

    def test_the_base_unit_and_none_are_the_same_unit(self) -> None:
        assert amounts(price(12), price(10, unitOfMeasureCode="PCS")) == [OTHER, 10]
        assert amounts(price(12), price(10, unitOfMeasureCode="BOX")) == [12, 10]

    def test_other_items_and_groups_and_currencies_are_no_rivals(self) -> None:
        prices = price(12), price(10, itemNo="B"), price(9, salesCode="SILVER"), price(8, currencyCode="USD")
        assert amounts(*prices) == [12, 10, 9, 8]

    def test_nor_are_prices_of_a_customer_that_is_called_like_the_group(self) -> None:
        assert amounts(price(12), price(10, salesType="Customer"))[0] == 12

    def test_a_blank_currency_is_the_local_one(self) -> None:
        assert amounts(price(12), price(10, currencyCode="")) == [OTHER, 10]


@pytest.mark.rule("SPR-04")
def test_the_unit_is_that_of_the_price_or_of_the_item() -> None:
    prices = price(1), price(1, unitOfMeasureCode="BOX")
    assert of_prices("sales_price.line_unit", prices) == ["unit PCS", "unit BOX"]
    assert of_prices("sales_price.line_unit_group", prices) == ["group PCS", "group BOX"]


@pytest.mark.rule("SPR-04")
def test_a_unit_that_is_no_use_holds_the_price() -> None:
    fine, found = of_prices("sales_price.line_unit", [price(1), price(1, unitOfMeasureCode="PAIR")])
    assert fine == "unit PCS"
    assert isinstance(found, Refusal)
    assert (found.code, found.field, found.value) == ("UOM-07", "unitOfMeasureCode", "PAIR")


@pytest.mark.rule("PL-03")
def test_a_price_is_in_the_currency_of_its_list() -> None:
    prices = (
        price(1),
        price(1, currencyCode=""),
        price(1, currencyCode="USD"),
        price(1, currencyCode="USD", salesCode="X"),
    )
    fine, blank, found, of_no_list = of_prices("sales_price.currency_of_list", prices)
    assert (fine, blank, of_no_list) == (None, None, None)
    assert isinstance(found, Refusal)
    assert (found.message, found.value) == ("currencyCode is USD, and the price list GOLD is in EUR", "USD")


def currency(*prices: Row) -> Scalar | Refusal:
    batch = batch_of({"code": ["GOLD"]})
    [found] = sales_price.currency(fetched(RULES["sales_price.currency"], batch, here(prices)))
    return found


@pytest.mark.rule("PL-02")
class TestTheCurrencyOfAGroup:
    def test_without_prices_it_is_the_local_one(self) -> None:
        assert currency() == "euro"
        assert currency(price(1, salesType="Customer", currencyCode="USD")) == "euro"

    def test_it_is_that_of_its_prices(self) -> None:
        assert currency(price(1, currencyCode="USD")) == "dollar"
        assert currency(price(1, currencyCode="")) == "euro"

    def test_one_that_is_not_coupled_is_waited_for(self) -> None:
        found = currency(price(1, currencyCode="GBP"))
        assert isinstance(found, Refusal)
        assert (found.code, found.kind, found.via, found.value) == ("PL-02", "dependency", "CURRENCY", "GBP")

    @pytest.mark.rule("PL-03")
    def test_two_are_one_too_many(self) -> None:
        found = currency(price(1, currencyCode="USD", itemNo="B"), price(1), price(2, itemNo="C"))
        assert isinstance(found, Refusal)
        assert found.message == "currencyCode is USD, and the first price of the group, of item A, is in EUR"
        assert (found.field, found.value) == ("currencyCode", "USD")


@pytest.mark.rule("PL-01")
def test_a_new_list_is_described_as_its_group() -> None:
    assert sales_price.description(batch_of({"description": ["Gold", ""]})) == [{"description": "Gold"}, {}]


def readiness(*prices: Row, coupled: str = "AB", blocked: str = "") -> Refusal | None:
    batch = batch_of({"code": ["GOLD"]})
    there = here(prices, coupled=coupled, blocked=blocked)
    [found] = sales_price.lines_are_ready(fetched(RULES["sales_price.lines_are_ready"], batch, there))
    return found


@pytest.mark.rule("PL-05")
class TestReadiness:
    def test_a_group_whose_items_and_units_are_there(self) -> None:
        assert readiness() is None
        assert readiness(price(1), price(1, itemNo="B", unitOfMeasureCode="BOX")) is None

    def test_an_item_that_is_not_coupled_is_waited_for(self) -> None:
        found = readiness(price(1), price(1, itemNo="B"), coupled="A")
        assert found is not None
        assert (found.code, found.kind, found.via, found.value) == ("PL-05", "dependency", "ITEM-PRODUCT", "B")

    def test_unless_it_is_outside_the_filter(self) -> None:
        assert readiness(price(1), price(1, itemNo="B"), coupled="A", blocked="B") is None

    def test_a_unit_that_is_no_use_is_waited_for(self) -> None:
        found = readiness(price(1, unitOfMeasureCode="PAIR"))
        assert found is not None
        assert (found.code, found.value) == ("UOM-07", "PAIR")

    def test_what_is_not_sent_is_not_waited_for(self) -> None:
        later = {"startingDate": "2024-07-01"}
        assert readiness(price(1, itemNo="B", **later), coupled="A") is None
        assert readiness(price(1, unitOfMeasureCode="PAIR", **later)) is None
