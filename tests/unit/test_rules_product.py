"""Products: what is never negative, their state, their price in the default price list."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from koppel.engine.action import FollowUp, Refusal
from koppel.engine.rule import RULES, Batch, Found
from koppel.odata.records import Scalar
from koppel.rules import price, product
from rule_batches import Tables, batch_of, fetched

Row = dict[str, Scalar]
NAMED, NAMED_WITH_CURRENCY = "Business Central Default Price List", "Business Central EUR Default Price List"


@pytest.mark.rule("PROD-07")
@pytest.mark.parametrize(("value", "there"), [(10, 10), (0.5, 0.5), (0, 0), (-5, 0), (None, 0)])
def test_prices_and_stock_are_never_negative(value: Scalar, there: float) -> None:
    assert product.price(batch_of({"unitPrice": [value]})) == [there]
    assert product.inventory(batch_of({"inventory": [value]})) == [there]
    assert product.capacity(batch_of({"capacity": [value]})) == [there]


@pytest.mark.rule("PROD-12")
def test_only_drafts_of_blocked_items_are_published() -> None:
    batch = batch_of({"number": ["A", "B", "C"], "blocked": [True, False, True]})
    batch = msgspec.structs.replace(batch, partners=["p-0", "p-1", "p-2"])
    states: Tables = {"product": [{"productid": f"p-{n}", "statecode": state} for n, state in enumerate((2, 2, 1))]}
    writes = product.publish_blocked(fetched(RULES["product.publish_blocked"], batch, states))
    assert [(write.id, write.values, write.create) for write in writes] == [("p-0", {"statecode": 0}, False)]


def dataverse(
    *lists: tuple[str, str, str], products: Sequence[Found] = (), lines: Sequence[Found] = (), local: bool = True
) -> Tables:
    """Price lists: id, name, currency."""
    euro: Row = {"transactioncurrencyid": "euro", "isocurrencycode": "EUR", "exchangerate": 1.0}
    return {
        "generalLedgerSetup": [{"localCurrencyCode": "EUR"}],
        "transactioncurrency": [euro] if local else [],
        "pricelevel": [{"pricelevelid": i, "name": n, "transactioncurrencyid": c} for i, n, c in lists],
        "product": products,
        "productpricelevel": lines,
    }


def items(*prices: Scalar, partners: Sequence[str] = (), product: Scalar = "Business Central") -> Batch:
    numbers: list[Scalar] = [f"I-{number}" for number, _ in enumerate(prices)]
    batch = batch_of({"number": numbers, "unitPrice": list(prices)}, product=product)
    return msgspec.structs.replace(batch, partners=partners or [""] * len(prices))


def default_list(there: Tables, product: Scalar = "Business Central") -> Scalar | Refusal:
    [found] = price.default_list(fetched(RULES["price.default_list"], items(1, product=product), there))
    return found


def first(batch: Batch, there: Tables) -> list[FollowUp]:
    return price.default_line_first(fetched(RULES["price.default_line_first"], batch, there))


def after(batch: Batch, there: Tables) -> list[FollowUp]:
    return price.default_line(fetched(RULES["price.default_line"], batch, there))


@pytest.mark.rule("PROD-08")
class TestTheDefaultPriceList:
    def test_a_list_of_the_name_in_local_currency(self) -> None:
        assert default_list(dataverse(("l", NAMED, "euro"))) == "l"

    def test_one_in_another_currency_is_none(self) -> None:
        assert default_list(dataverse(("l", NAMED, "dollar"))) != "l"
        assert default_list(dataverse(("l", NAMED, "dollar"), ("m", NAMED_WITH_CURRENCY, "euro"))) == "m"

    def test_the_name_is_a_parameter(self) -> None:
        assert default_list(dataverse(("l", "NAV Default Price List", "euro")), product="NAV") == "l"

    def test_the_one_to_be_made_has_the_id_that_it_will_have(self) -> None:
        expected = default_list(dataverse())
        writes = first(items(1, 2), dataverse())
        assert {write.id for write in writes} == {expected}
        assert [write.record for write in writes] == ["r-0", "r-1"]
        assert writes[0].values == {"name": NAMED, "transactioncurrencyid": "euro"}

    def test_it_has_the_currency_in_its_name_where_the_plain_one_is_taken(self) -> None:
        [write] = first(items(1), dataverse(("l", NAMED, "dollar")))
        assert write.values["name"] == NAMED_WITH_CURRENCY

    def test_what_koppel_made_is_found_by_its_id(self) -> None:
        made = str(default_list(dataverse()))
        there = dataverse((made, "Ours", "euro"), ("l", NAMED, "euro"))
        assert default_list(there) == made
        assert first(items(1), there) == []

    def test_it_is_in_the_local_currency_even_before_that_exists(self) -> None:
        [write] = first(items(1), dataverse(local=False))
        assert write.values["transactioncurrencyid"] not in ("euro", "", None)


PRODUCT: Row = {"productid": "p", "statecode": 0, "price": 10, "defaultuomid": "pcs", "defaultuomscheduleid": "g"}
LINE: Row = {"productpricelevelid": "x", "pricelevelid": "l", "productid": "p", "uomid": "pcs", "uomscheduleid": "g"}


def line(amount: float, **values: Scalar) -> Found:
    return {**LINE, "amount": amount, **values}


def writes_for(*lines: Found, **values: Scalar) -> list[FollowUp]:
    """What is written for a product; before an update only what lacks."""
    there = dataverse(("l", NAMED, "euro"), products=[{**PRODUCT, **values}], lines=lines)
    writes = after(items(1, partners=["p"]), there)
    assert first(items(1, partners=["p"]), there) == [write for write in writes if write.create]
    return writes


@pytest.mark.rule("PROD-09")
class TestTheDefaultLine:
    def test_it_is_made_where_it_lacks(self) -> None:
        [write] = writes_for(line(3, productpricelevelid="y", pricelevelid="other"))
        assert write.create
        assert write.values == {
            "pricelevelid": "l",
            "productid": "p",
            "pricingmethodcode": 1,
            "uomid": "pcs",
            "uomscheduleid": "g",
            "amount": 10,
        }

    def test_always_under_the_same_id(self) -> None:
        assert writes_for()[0].id == writes_for(price=12)[0].id

    def test_a_right_one_is_left_alone(self) -> None:
        assert writes_for(line(10)) == []

    def test_what_differs_is_put_right(self) -> None:
        [write] = writes_for(line(3))
        assert (write.id, write.create, write.values) == ("x", False, {"amount": 10})

    def test_without_a_price_it_is_nothing(self) -> None:
        assert writes_for(price=None)[0].values["amount"] == 0

    def test_the_line_in_the_unit_of_the_product_counts(self) -> None:
        [write] = writes_for(line(1, productpricelevelid="b", uomid="box"), line(2))
        assert write.id == "x"

    def test_another_unit_is_put_right(self) -> None:
        [write] = writes_for(line(10, uomid="box"))
        assert write.values == {"uomid": "pcs"}

    def test_a_retired_product_gets_none(self) -> None:
        assert writes_for(statecode=1) == []
        assert len(writes_for(line(3), statecode=1)) == 1

    def test_nor_does_one_that_is_not_there_yet(self) -> None:
        assert after(items(10), dataverse(("l", NAMED, "euro"), products=[PRODUCT])) == []
