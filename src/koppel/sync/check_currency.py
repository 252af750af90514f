"""Whether amounts can be told in both systems: the local currency, and the base currency of Dataverse (CUR-09)."""

from __future__ import annotations

from collections.abc import Mapping

from koppel.odata.records import Scalar, Side
from koppel.systems.system import System


async def currency_trouble(systems: Mapping[Side, System]) -> tuple[str, str] | None:
    """What is wrong and what to do about it, if anything is. A local currency that Dataverse lacks is made by Koppel
    (CUR-08), but only with a rate of the base currency.

    ``RemoteError`` when one of the tables cannot be read.
    """
    ours, theirs = systems["business_central"], systems["dataverse"]
    local = await _only(ours, "generalLedgerSetup", "localCurrencyCode")
    if not local:
        return "Business Central names no local currency", "enter LCY Code in its General Ledger Setup"
    currencies = await theirs.by_ids(
        "transactioncurrency", ("isocurrencycode",), [str(await _only(theirs, "organization", "basecurrencyid"))]
    )
    base = next((currency.values[0] for currency in currencies.values()), None)
    if base in (local, None) or await ours.by_keys("currencyExchangeRates", ("currencyCode",), "currencyCode", [base]):
        return None
    message = (
        f"{base}, the base currency of Dataverse, has no exchange rate in Business Central, where {local} is local"
    )
    return message, f"enter a rate of {base} in Business Central, dated today or earlier"


async def _only(system: System, table: str, column: str) -> Scalar:
    """What the only row of a set-up table holds."""
    found = [record.values[0] async for page in system.query(table, (column,)) for record in page.records]
    return found[0] if found else None
