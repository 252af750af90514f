"""Vendors."""

from __future__ import annotations

from koppel.sandbox.business_central.logic.party import party_logic
from koppel.sandbox.business_central.logic.relation import VENDOR

LOGIC = party_logic(VENDOR, "VEND", {})
