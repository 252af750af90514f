"""Currencies: ISO codes, exchange rates as Dataverse means them, the local currency (CUR-…, GEN-10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from uuid import NAMESPACE_URL, uuid5

import msgspec

from koppel.engine.action import FollowUp, Refusal
from koppel.engine.rule import Batch, Found, Need, complete, compute, follow, precede, references, refuse
from koppel.engine.translate import References
from koppel.odata.records import Scalar
from koppel.rules.iso4217 import ISO_4217

_Rates = Mapping[str, Sequence[Found]]
"""Rows of exchange rates by currency code."""

_TEN_PLACES = Decimal("1e-10")

_SETUP = Need(name="setup", table="generalLedgerSetup", columns=("localCurrencyCode",))
_ORGANIZATION = Need(
    name="organization",
    side="dataverse",
    table="organization",
    columns=("basecurrencyid", "currencydecimalprecision"),
)
_BASE_CURRENCY = Need(
    name="base_currency",
    side="dataverse",
    table="transactioncurrency",
    columns=("transactioncurrencyid", "isocurrencycode"),
    key="transactioncurrencyid",
    of=lambda batch: [row["basecurrencyid"] for row in batch.table("organization")],
)


def _codes_and_base(batch: Batch) -> Iterable[Scalar]:
    return [*batch.column("code"), *(row["isocurrencycode"] for row in batch.table("base_currency"))]


_RATES = Need(
    name="rates",
    table="currencyExchangeRates",
    columns=(
        "currencyCode",
        "startingDate",
        "exchangeRateAmount",
        "relationalCurrencyCode",
        "relationalExchangeRateAmount",
    ),
    key="currencyCode",
    of=_codes_and_base,
)
_RELATED = msgspec.structs.replace(
    _RATES, name="related", of=lambda batch: [row["relationalCurrencyCode"] for row in batch.table("rates")]
)


_LOCAL = Need(
    name="local",
    side="dataverse",
    table="transactioncurrency",
    columns=("transactioncurrencyid", "isocurrencycode", "exchangerate"),
    key="isocurrencycode",
    of=lambda batch: [local_code(batch)],
)


def local_code(batch: Batch) -> str:
    """The code of the local currency."""
    return next((str(row["localCurrencyCode"]) for row in batch.table("setup")), "")


def _per_local(rates: _Rates, code: str, local: str, today: date) -> Decimal | None:
    """Units of ``code`` for one unit of the local currency, by the last rate dated on or before ``today``.

    A rate may relate to another currency than the local one, whose own rate then counts too.
    """
    if code == local:
        return Decimal(1)
    valid = [row for row in rates.get(code, ()) if str(row["startingDate"]) <= today.isoformat()]
    last = max(valid, key=lambda row: str(row["startingDate"]), default=None)
    if last is None:
        return None
    others = {other: found for other, found in rates.items() if other != code}
    per_relational = _per_local(others, str(last["relationalCurrencyCode"] or local), local, today)
    amount, relational = (Decimal(str(last[name])) for name in ("exchangeRateAmount", "relationalExchangeRateAmount"))
    return amount / relational * per_relational if amount and relational and per_relational else None


def _no_rate(code: str) -> Refusal:
    return Refusal(
        code="CUR-05",
        message=f"no exchange rate for {code}",
        remedy=f"enter an exchange rate for {code} in Business Central, dated today or earlier",
        field="exchangerate",
        value=code,
    )


@compute(reads=("code",), needs=(_SETUP, _ORGANIZATION, _BASE_CURRENCY, _RATES, _RELATED), daily=True)
def exchange_rate(batch: Batch) -> list[Scalar | Refusal]:
    """Units of the currency for one unit of Dataverse's base currency (CUR-03, CUR-04), ten decimals, half up."""
    return _rates_of(batch, [str(code) for code in batch.column("code")])


def _rates_of(batch: Batch, codes: Iterable[str]) -> list[Scalar | Refusal]:
    local = local_code(batch)
    base = next((str(row["isocurrencycode"]) for row in batch.table("base_currency")), local)
    rates: dict[str, list[Found]] = {}
    for row in (*batch.table("rates"), *batch.table("related")):
        rates.setdefault(str(row["currencyCode"]), []).append(row)
    base_rate = _per_local(rates, base, local, batch.today)
    return [_rate(code, base, local, base_rate, rates, batch.today) for code in codes]


def _rate(code: str, base: str, local: str, base_rate: Decimal | None, rates: _Rates, today: date) -> Scalar | Refusal:
    if code == base:
        return 1.0
    if base_rate is None:
        return _no_rate(base)
    rate = _per_local(rates, code, local, today)
    if rate is None:
        return _no_rate(code)
    return float((rate / base_rate).quantize(_TEN_PLACES, ROUND_HALF_UP))


@compute(reads=("symbol", "code"))
def symbol(batch: Batch) -> list[Scalar | Refusal]:
    """The symbol, or the code where it is blank (CUR-07)."""
    return [sign or code for sign, code in zip(batch.column("symbol"), batch.column("code"), strict=True)]


@refuse(reads=("code",))
def only_iso(batch: Batch) -> list[Refusal | None]:
    """Only currencies with a code of ISO 4217 synchronise (CUR-02)."""
    return [
        None
        if code in ISO_4217
        else Refusal(
            code="CUR-02",
            message=f"{code} is not a currency code of ISO 4217",
            remedy="give the currency its ISO code in Business Central, or leave it out",
            field="code",
            value=str(code),
            skip=True,
        )
        for code in batch.column("code")
    ]


@complete(needs=(_ORGANIZATION,))
def precision(batch: Batch) -> list[dict[str, Scalar]]:
    """New currencies get the organisation's number of decimals (CUR-07)."""
    return [{"currencyprecision": _decimals(batch)} for _ in batch.records]


def _decimals(batch: Batch) -> Scalar:
    decimals = next((row["currencydecimalprecision"] for row in batch.table("organization")), None)
    return 2 if decimals is None else decimals


@follow(
    reads=("code",),
    needs=(_SETUP, _ORGANIZATION, _BASE_CURRENCY, _RATES, _RELATED, _LOCAL),
    foreseen=True,
)
def local(batch: Batch) -> list[FollowUp]:
    """The local currency has no record in Business Central: Dataverse gets it with the others (CUR-08)."""
    code = local_code(batch)
    [rate] = _rates_of(batch, [code])
    found = next(iter(batch.table("local")), None)
    if not code or isinstance(rate, Refusal) or (found and _same_rate(found["exchangerate"], rate)):
        return []
    values = {} if found else _new_local(batch, code)
    return [_write_of_local(batch, code, {**values, "exchangerate": rate}, batch.records[0].id, create=not found)]


@precede(
    needs=(
        _SETUP,
        _ORGANIZATION,
        _BASE_CURRENCY,
        msgspec.structs.replace(_RATES, of=lambda batch: [r["isocurrencycode"] for r in batch.table("base_currency")]),
        _RELATED,
        _LOCAL,
    )
)
def local_first(batch: Batch) -> list[FollowUp]:
    """What is in the local currency needs it in Dataverse; without a rate Dataverse refuses it (CUR-08)."""
    if batch.table("local"):
        return []
    code = local_code(batch)
    [rate] = _rates_of(batch, [code])
    values = _new_local(batch, code) | ({} if isinstance(rate, Refusal) else {"exchangerate": rate})
    return [_write_of_local(batch, code, values, record.id, create=True) for record in batch.records]


def _new_local(batch: Batch, code: str) -> dict[str, Scalar]:
    names = dict.fromkeys(("isocurrencycode", "currencyname", "currencysymbol"), code)
    return {**names, "currencyprecision": _decimals(batch)}


def _write_of_local(batch: Batch, code: str, values: dict[str, Scalar], record: str, *, create: bool) -> FollowUp:
    return FollowUp(
        side="dataverse",
        table="transactioncurrency",
        id=local_currency(batch),
        values=values,
        record=record,
        create=create,
        name=code,
        reason="the local currency of Business Central (CUR-08)",
    )


LOCAL_CURRENCY = (_SETUP, _LOCAL)
"""What ``local_currency`` looks at."""


def local_currency(batch: Batch) -> str:
    """The id of the local currency in Dataverse: of the row with its ISO code, or of the one that is made for it."""
    found = next(iter(batch.table("local")), None)
    made = uuid5(NAMESPACE_URL, f"koppel:currency:{local_code(batch)}")
    return str(found["transactioncurrencyid"] if found else made)


@compute(reads=(), needs=LOCAL_CURRENCY)
def local_id(batch: Batch) -> list[Scalar | Refusal]:
    """Prices of items and resources are in the local currency (PROD-05)."""
    return [local_currency(batch) for _ in batch.records]


def _same_rate(one: Scalar, other: Scalar) -> bool:
    return one is not None and Decimal(str(one)).quantize(_TEN_PLACES) == Decimal(str(other)).quantize(_TEN_PLACES)


@references(
    needs=(
        _SETUP,
        Need(name="by_code", couplings="CURRENCY", key="key", of=lambda batch: batch.keys),
        Need(name="by_id", couplings="CURRENCY", key="dataverse_id", of=lambda batch: batch.ids),
        _LOCAL,
    )
)
def code(batch: Batch) -> References:
    """A code stands for its coupled currency, the local currency's for the row with its ISO code (GEN-10)."""
    to_dataverse = {str(row["key"]): row["dataverse_id"] for row in batch.table("by_code")}
    back: dict[Scalar, Scalar] = {row["dataverse_id"]: row["key"] for row in batch.table("by_id")}
    for row in batch.table("local"):
        to_dataverse[local_code(batch)] = row["transactioncurrencyid"]
        back[row["transactioncurrencyid"]] = local_code(batch)
    return References(to_dataverse, back)
