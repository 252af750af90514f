"""Currencies: rates as Dataverse means them, symbols, the local currency."""

from __future__ import annotations

import pytest

from koppel.engine.action import FollowUp, Refusal
from koppel.engine.rule import RULES, Batch, Found
from koppel.odata.records import Scalar
from koppel.rules import currency
from rule_batches import WORK_DATE, Tables, batch_of, fetched


def rate(code: str, amount: float, per: float = 1, *, start: str = "2024-01-01", relational: str = "") -> Found:
    """``amount`` of ``code`` for ``per`` of the relational currency; blank: the local one."""
    return {
        "currencyCode": code,
        "startingDate": start,
        "exchangeRateAmount": amount,
        "relationalCurrencyCode": relational,
        "relationalExchangeRateAmount": per,
    }


def rates(codes: list[str], *known: Found, base: str = "EUR", local: str = "EUR") -> list[Scalar | Refusal]:
    """What the rule makes of currencies, with only the rows that it asks for."""
    here: Tables = {
        "generalLedgerSetup": [{"localCurrencyCode": local}],
        "organization": [{"basecurrencyid": "id-base", "currencydecimalprecision": 2}],
        "transactioncurrency": [{"transactioncurrencyid": "id-base", "isocurrencycode": base}],
        "currencyExchangeRates": list(known),
    }
    batch = batch_of({"code": codes})
    return currency.exchange_rate(fetched(RULES["currency.exchange_rate"], batch, here))


USD = rate("USD", 1.08)
GBP = rate("GBP", 0.85)


@pytest.mark.rule("CUR-03")
class TestRates:
    def test_the_base_currency_is_one(self) -> None:
        assert rates(["EUR"]) == [1.0]
        assert rates(["USD"], USD, base="USD") == [1.0]

    def test_with_the_local_currency_as_base(self) -> None:
        assert rates(["USD"], rate("USD", 108, 100)) == [1.08]

    def test_with_another_base(self) -> None:
        assert rates(["EUR", "GBP"], USD, GBP, base="USD") == [0.9259259259, 0.7870370370]

    @pytest.mark.rule("CUR-04")
    def test_they_are_units_of_the_currency_for_one_of_the_base_not_the_reverse(self) -> None:
        assert rates(["XTS"], rate("BAS", 12), rate("XTS", 3), base="BAS") == [0.25]

    def test_ten_decimals_half_up(self) -> None:
        assert rates(["AAA", "BBB"], rate("AAA", 1, 3), rate("BBB", 2, 3)) == [0.3333333333, 0.6666666667]

    def test_the_last_rate_counts(self) -> None:
        known = rate("USD", 1.1, start="2024-05-31"), rate("USD", 1.2, start="2023-01-01"), rate("USD", 1.3)
        assert rates(["USD"], *known) == [1.1]

    @pytest.mark.rule("CUR-04")
    def test_but_not_one_of_the_future(self) -> None:
        known = rate("USD", 1.1, start="2024-06-01"), rate("USD", 9, start="2024-06-02")
        assert rates(["USD"], *known) == [1.1]

    def test_a_rate_may_relate_to_another_currency(self) -> None:
        """2 of AAA for one US dollar, and 1.08 dollars for a euro."""
        assert rates(["AAA"], rate("AAA", 2, relational="USD"), USD) == [2.16]
        assert rates(["AAA"], rate("AAA", 2, relational="USD"), USD, base="USD") == [2.0]

    def test_relating_to_the_local_currency_by_name_is_relating_to_it(self) -> None:
        assert rates(["USD"], rate("USD", 108, 100, relational="EUR")) == [1.08]

    def test_currencies_that_relate_to_each_other_have_no_rate(self) -> None:
        [found] = rates(["AAA"], rate("AAA", 2, relational="BBB"), rate("BBB", 2, relational="AAA"))
        assert isinstance(found, Refusal)


@pytest.mark.rule("CUR-05")
@pytest.mark.parametrize(
    ("known", "base", "lacking"),
    [
        ([], "EUR", "GBP"),
        ([rate("GBP", 0)], "EUR", "GBP"),
        ([rate("GBP", 1, 0)], "EUR", "GBP"),
        ([rate("GBP", 0.85, start="2024-06-02")], "EUR", "GBP"),
        ([rate("GBP", 0.85, relational="USD")], "EUR", "GBP"),
        ([GBP], "USD", "USD"),
    ],
    ids=["none", "zero", "for zero", "of the future", "to one without", "of the base"],
)
@pytest.mark.rule("CUR-06")
def test_without_a_rate_the_currency_fails_and_says_which(known: list[Found], base: str, lacking: str) -> None:
    [found] = rates(["GBP"], *known, base=base)
    assert isinstance(found, Refusal)
    assert (found.code, found.message, found.value, found.skip) == (
        "CUR-05",
        f"no exchange rate for {lacking}",
        lacking,
        False,
    )


def test_one_currency_without_a_rate_leaves_the_others_alone() -> None:
    found = rates(["USD", "GBP"], USD)
    assert found[0] == 1.08
    assert isinstance(found[1], Refusal)


def test_a_rate_may_be_another_one_tomorrow() -> None:
    assert RULES["currency.exchange_rate"].daily


@pytest.mark.rule("CUR-07")
def test_a_blank_symbol_is_the_code() -> None:
    assert currency.symbol(batch_of({"symbol": ["€", "", None], "code": ["EUR", "GBP", "USD"]})) == ["€", "GBP", "USD"]


@pytest.mark.rule("CUR-07")
@pytest.mark.parametrize(("organization", "decimals"), [(4, 4), (0, 0), (None, 2)])
def test_new_currencies_get_the_organisations_precision(organization: int | None, decimals: int) -> None:
    tables: Tables = {"organization": [{"basecurrencyid": "x", "currencydecimalprecision": organization}]}
    batch = fetched(RULES["currency.precision"], batch_of({"code": ["EUR", "USD"]}), tables)
    assert currency.precision(batch) == [{"currencyprecision": decimals}] * 2


@pytest.mark.rule("CUR-02")
@pytest.mark.parametrize(
    ("code", "is_iso"), [("EUR", True), ("USD", True), ("DOLLAR", False), ("XAU", False), ("", False)]
)
def test_only_iso_codes_synchronise(code: str, is_iso: bool) -> None:
    [found] = currency.only_iso(batch_of({"code": [code]}))
    if is_iso:
        assert found is None
    else:
        assert found is not None
        assert (found.code, found.skip, found.field, found.value) == ("CUR-02", True, "code", code)


@pytest.mark.rule("GEN-10")
class TestReferences:
    tables: Tables = {
        "generalLedgerSetup": [{"localCurrencyCode": "EUR"}],
        "CURRENCY": [{"key": "USD", "dataverse_id": "id-usd"}, {"key": "GBP", "dataverse_id": "id-gbp"}],
        "transactioncurrency": [
            {"transactioncurrencyid": "id-eur", "isocurrencycode": "EUR", "exchangerate": 1},
            {"transactioncurrencyid": "id-usd", "isocurrencycode": "USD", "exchangerate": 1.08},
        ],
    }

    def references(self, keys: list[Scalar], ids: list[Scalar]) -> tuple[dict[str, Scalar], dict[Scalar, Scalar]]:
        batch = Batch(keys=keys, ids=ids, today=WORK_DATE)
        found = currency.code(fetched(RULES["currency.code"], batch, self.tables))
        return dict(found.to_dataverse), dict(found.to_business_central)

    def test_a_code_stands_for_its_coupled_currency_and_back(self) -> None:
        there, back = self.references(["USD"], ["id-gbp"])
        assert there["USD"] == "id-usd"
        assert back["id-gbp"] == "GBP"

    def test_the_local_currency_stands_for_the_row_with_its_iso_code(self) -> None:
        there, back = self.references(["EUR"], ["id-eur"])
        assert there["EUR"] == "id-eur"
        assert back["id-eur"] == "EUR"

    def test_what_is_not_coupled_stands_for_nothing(self) -> None:
        there, back = self.references(["XTS"], ["id-xts"])
        assert "XTS" not in there
        assert "id-xts" not in back


@pytest.mark.rule("CUR-08")
class TestLocalCurrency:
    def follow(self, base: str, there: list[Found], *known: Found, local: str = "EUR") -> list[FollowUp]:
        tables: Tables = {
            "generalLedgerSetup": [{"localCurrencyCode": local}],
            "organization": [{"basecurrencyid": "id-base", "currencydecimalprecision": 3}],
            "transactioncurrency": [
                {"transactioncurrencyid": "id-base", "isocurrencycode": base, "exchangerate": 1},
                *there,
            ],
            "currencyExchangeRates": list(known),
        }
        batch = fetched(RULES["currency.local"], batch_of({"code": ["USD"]}), tables)
        self.first = currency.local_first(fetched(RULES["currency.local_first"], batch_of({"number": ["1"]}), tables))
        return currency.local(batch)

    def test_it_is_created_with_its_rate(self) -> None:
        [up] = self.follow("USD", [], USD)
        assert (up.side, up.table, up.create, len(up.id)) == ("dataverse", "transactioncurrency", True, 36)
        assert up.values == {
            "isocurrencycode": "EUR",
            "currencyname": "EUR",
            "currencysymbol": "EUR",
            "currencyprecision": 3,
            "exchangerate": 0.9259259259,
        }

    def test_twice_it_would_get_the_same_id(self) -> None:
        assert self.follow("USD", [], USD) == self.follow("USD", [], USD)

    def test_what_needs_it_first_makes_the_same(self) -> None:
        [up] = self.follow("USD", [], USD)
        assert [(write.id, write.values, write.create) for write in self.first] == [(up.id, up.values, True)]

    def test_and_nothing_where_it_is_there(self) -> None:
        self.follow("EUR", [])
        assert self.first == []

    def test_without_a_rate_dataverse_will_refuse_it(self) -> None:
        self.follow("USD", [])
        assert "exchangerate" not in self.first[0].values

    def test_as_the_base_currency_it_is_there(self) -> None:
        assert self.follow("EUR", []) == []

    def test_its_rate_follows_the_base_currencys(self) -> None:
        there: dict[str, Scalar] = {"transactioncurrencyid": "id-eur", "isocurrencycode": "EUR"}
        [up] = self.follow("USD", [there | {"exchangerate": 0.9}], USD)
        assert (up.create, up.id, up.values) == (False, "id-eur", {"exchangerate": 0.9259259259})
        assert self.follow("USD", [there | {"exchangerate": 0.9259259259}], USD) == []

    def test_without_a_rate_it_waits(self) -> None:
        assert self.follow("USD", []) == []
        assert self.follow("USD", [], USD, local="") == []
