"""The throttling of both systems, as one thing that can be shown and set."""

from __future__ import annotations

import msgspec

from koppel.sandbox.business_central import BusinessCentral, Limits
from koppel.sandbox.dataverse.service import Dataverse


class DataverseLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Service protection limits of each user, as published.

    ``requests`` and seconds of execution in a ``window`` (seconds), ``concurrent`` at one time; ``service_seconds`` is
    added to the time that each request takes.
    """

    requests: int = 6_000
    execution_seconds: float = 1_200.0
    concurrent: int = 52
    window: float = 300.0
    service_seconds: float = 0.0


class BusinessCentralLimits(Limits, frozen=True, forbid_unknown_fields=True):
    """Operational limits of each user, as published."""


class SystemLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The limits of both systems; None where none is enforced. An empty object is what is published."""

    dataverse: DataverseLimits | None = None
    business_central: BusinessCentralLimits | None = None


class Throttling:
    """Shows and sets the limits of two running systems."""

    def __init__(self, dataverse: Dataverse, business_central: BusinessCentral) -> None:
        self._dataverse = dataverse.limits
        self._business_central = business_central.settings

    def get(self) -> SystemLimits:
        """The limits of the moment."""
        now = self._dataverse
        values = {name: getattr(now, name) for name in DataverseLimits.__struct_fields__}
        online = self._business_central.limits
        return SystemLimits(
            DataverseLimits(**values) if now.enforced else None,
            BusinessCentralLimits(**msgspec.structs.asdict(online)) if online else None,
        )

    def set(self, limits: SystemLimits) -> None:
        """Enforce these limits from now on."""
        self._dataverse.enforced = limits.dataverse is not None
        for name, value in msgspec.structs.asdict(limits.dataverse or DataverseLimits()).items():
            setattr(self._dataverse, name, value)
        self._business_central.limits = limits.business_central
