"""Couplings one record of which, or both, do not exist any more."""

from __future__ import annotations

import msgspec

from koppel.odata.records import Side
from koppel.store.couplings import Coupling


class Orphan(msgspec.Struct, frozen=True, kw_only=True):
    """A coupling of which one record, or both, do not exist any more. Of options, ``dataverse_id`` is the value."""

    mapping: str
    name: str
    missing: tuple[Side, ...]
    business_central_id: str
    dataverse_id: str


def orphan_of(mapping: str, pair: Coupling, missing: tuple[Side, ...]) -> Orphan:
    """A coupling as an orphan."""
    return Orphan(
        mapping=mapping,
        name=pair.business_central_key,
        missing=missing,
        business_central_id=pair.business_central_id,
        dataverse_id=pair.dataverse_id,
    )
