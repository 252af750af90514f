"""The stock of items: item ledger entries, and the inventory that they add up to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

ENTRIES = "itemLedgerEntries"


def has_entries(work: Work, number: str) -> bool:
    """Whether anything of an item was ever moved."""
    return bool(work.store(ENTRIES).having("itemNumber", number))


def move(work: Work, item: Row, quantity: float, entry_type: str, **values: Any) -> None:
    """Post a movement of an item, and let its inventory follow: neither its time nor its version moves.

    ``quantity`` in base units, negative for what leaves; ``values`` are further fields of the entry, such as
    ``documentNumber``.
    """
    _post(work, item, quantity, entry_type, values)
    row = work.store("items").rows[item["id"]]
    work.flow("items", item["id"], {"inventory": round(row.get("inventory", 0) + quantity, 5)})


def adjust(work: Work, item: Row, quantity: float) -> None:
    """Post the difference after the inventory of an item was set."""
    kind = "Positive" if quantity > 0 else "Negative"
    _post(work, item, quantity, f"{kind}_x0020_Adjmt_x002E_", {})


def _post(work: Work, item: Row, quantity: float, entry_type: str, values: Row) -> None:
    entry = {
        "entryNumber": len(work.store(ENTRIES).rows) + 1,
        "itemNumber": item["number"],
        "postingDate": work.system.today(),
        "entryType": entry_type,
        "description": item.get("displayName", ""),
        "quantity": quantity,
        **values,
    }
    work.insert(ENTRIES, {name: value for name, value in entry.items() if value})
