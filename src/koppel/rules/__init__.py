"""Rules of single tables, one module a table; importing this package registers them all."""

from __future__ import annotations

from collections.abc import Mapping

from koppel.engine.rule import RULES, Rule
from koppel.rules import contact, currency, price, product, salesperson, unit

__all__ = ["contact", "currency", "price", "product", "registered", "salesperson", "unit"]


def registered() -> Mapping[str, Rule]:
    """All rules, by the name under which mappings call them."""
    return RULES
