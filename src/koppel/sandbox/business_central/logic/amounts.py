"""The arithmetic of sales documents: line amounts, invoice discount, VAT. Pure: rows in, values out.

Amounts are exact decimals while they are computed, and rounded half away from zero as Business Central rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec

from koppel.sandbox.tables import Row

ZERO, ONE, HUNDRED = Decimal(0), Decimal(1), Decimal(100)
CENT = Decimal("0.01")
PERCENT = Decimal("0.00001")
UNIT_AMOUNT = Decimal("0.00001")
"""Precision of unit prices."""


def exact(value: Any) -> Decimal:
    """A number of a row."""
    return Decimal(str(value))


def plain(value: Decimal) -> int | float:
    """A number for a row: whole ones as such."""
    number = float(value)
    return int(number) if number.is_integer() else number


def rounded(value: Decimal, precision: Decimal = CENT) -> Decimal:
    """The nearest multiple of ``precision``; halves go away from zero."""
    return (value / precision).quantize(ONE, ROUND_HALF_UP) * precision


class Terms(msgspec.Struct, frozen=True):
    """What all lines of a document share: whether prices include VAT, and the precision of amounts."""

    including_tax: bool = False
    precision: Decimal = CENT


def gross_amount(line: Row) -> Decimal:
    """Quantity times price, before any discount."""
    return exact(line.get("quantity", 0)) * exact(line.get("unitPrice", 0))


def line_amount(line: Row, terms: Terms) -> Decimal:
    """What a line costs before invoice discount; with VAT where prices include it."""
    return rounded(gross_amount(line), terms.precision) - exact(line.get("discountAmount", 0))


def portions(total: Decimal, shares: Sequence[Decimal], precision: Decimal) -> list[Decimal]:
    """``total`` in proportion to the shares, rounded so that nothing is lost. Zeros when the shares add up to zero."""
    whole, carried, found = sum(shares, ZERO), ZERO, []
    for share in shares:
        wanted = total * share / whole + carried if whole else ZERO
        found.append(rounded(wanted, precision))
        carried = wanted - found[-1]
    return found


def discountable(lines: Sequence[Row], terms: Terms) -> list[Decimal]:
    """The amount of each line on which an invoice discount may be given."""
    return [line_amount(line, terms) if line.get("allowInvoiceDisc") else ZERO for line in lines]


def spread_discount(lines: Sequence[Row], discount: Decimal, terms: Terms) -> list[Decimal]:
    """The share of each line in an invoice discount, which is no larger than what it may be given on."""
    if not discount:
        return [ZERO] * len(lines)
    shares = discountable(lines, terms)
    return portions(min(discount, max(sum(shares, ZERO), ZERO)), shares, terms.precision)


def amounts_of(lines: Sequence[Row], discounts: Sequence[Decimal], terms: Terms) -> list[Row]:
    """The amounts of each line, given its share of the invoice discount.

    VAT is rounded by rate over the document: what one line's rounding leaves is carried to the next.
    """
    carried: dict[Any, Decimal] = {}
    return [_amounts(line, discount, terms, carried) for line, discount in zip(lines, discounts, strict=True)]


def _amounts(line: Row, discount: Decimal, terms: Terms, carried: dict[Any, Decimal]) -> Row:
    amount, percent = line_amount(line, terms), line.get("taxPercent", 0)
    rate = exact(percent) / HUNDRED
    before = _split(amount, rate, terms, ZERO)[:2]
    net, tax, carried[percent] = _split(amount - discount, rate, terms, carried.get(percent, ZERO))
    untaxed = rounded(discount / (ONE + rate), terms.precision) if terms.including_tax else discount
    return {
        "lineAmount": plain(amount),
        "invDiscountAmount": plain(discount),
        "invoiceDiscountAllocation": plain(untaxed),
        "amountExcludingTax": plain(before[0]),
        "totalTaxAmount": plain(before[1]),
        "amountIncludingTax": plain(before[0] + before[1]),
        "netAmount": plain(net),
        "netTaxAmount": plain(tax),
        "netAmountIncludingTax": plain(net + tax),
    }


def _split(amount: Decimal, rate: Decimal, terms: Terms, carried: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    """Amount without VAT, VAT, and what rounding left over."""
    if terms.including_tax:
        wanted = amount / (ONE + rate) + carried
        net = rounded(wanted, terms.precision)
        return net, amount - net, wanted - net
    wanted = amount * rate + carried
    tax = rounded(wanted, terms.precision)
    return amount, tax, wanted - tax


def totals(lines: Sequence[Row]) -> Row:
    """The totals of a document, from the amounts of its lines."""
    return {
        "discountAmount": _sum(lines, "invDiscountAmount"),
        "totalAmountExcludingTax": _sum(lines, "netAmount"),
        "totalTaxAmount": _sum(lines, "netTaxAmount"),
        "totalAmountIncludingTax": _sum(lines, "netAmountIncludingTax"),
    }


def _sum(lines: Sequence[Row], name: str) -> int | float:
    return plain(sum((exact(line.get(name, 0)) for line in lines), ZERO))
