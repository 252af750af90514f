"""Standard mappings that an administrator switches on in ``koppel.yaml`` (``enabled``)."""

from __future__ import annotations

UNIT_GROUPS = {"UNIT GROUP": True, "ITEM UOM": True, "RESOURCE UOM": True}
"""Unit groups instead of units of measure."""
ORDERS_BOTH_WAYS = {"SALESORDER-ORDER-TWO-WAY": True, "SOLINE-ORDERDETAIL": True, "SALES ORDER NOTES-TWO-WAY": True}
