"""The simulated Business Central API: rows by company and table, shown by API v2.0 and by the companion pages."""

from koppel.sandbox.business_central.app import business_central_app
from koppel.sandbox.business_central.company import (
    BusinessCentral,
    Company,
    NumberSeries,
    Settings,
    create_business_central,
)
from koppel.sandbox.business_central.limits import Limits

__all__ = [
    "BusinessCentral",
    "Company",
    "Limits",
    "NumberSeries",
    "Settings",
    "business_central_app",
    "create_business_central",
]
