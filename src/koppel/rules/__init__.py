"""Rules of single tables, one module a table; importing this package registers them all."""

from koppel.rules import contact, currency, salesperson, unit

__all__ = ["contact", "currency", "salesperson", "unit"]
