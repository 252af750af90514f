"""Columns that the platform takes only at creation, only afterwards, or never.

The metadata document knows read-only columns, but not these: they come from what integrations found (logical names; a
star stands for the rest of the name). What may not be written is dropped without a word, as the platform does.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

_LINE_CREATE_ONLY = ("isproductoverridden", "producttypecode")
_LINE_UPDATE_ONLY = ("baseamount", "extendedamount")
_LINE_READ_ONLY = ("volumediscountamount", "transactioncurrencyid", "exchangerate", "ownerid")

_CREATE_ONLY: Mapping[str, tuple[str, ...]] = {
    "transactioncurrency": ("isocurrencycode",),
    "uomschedule": ("baseuomname",),
    "uom": ("uomscheduleid",),
    "product": ("productstructure", "parentproductid"),
    "pricelevel": ("transactioncurrencyid",),
    "productpricelevel": ("pricelevelid", "productid"),
    "salesorder": ("ordernumber", "transactioncurrencyid"),
    "invoice": ("invoicenumber", "transactioncurrencyid"),
    "salesorderdetail": _LINE_CREATE_ONLY,
    "invoicedetail": _LINE_CREATE_ONLY,
    "annotation": ("objectid", "objecttypecode"),
    "post": ("*",),
}
_UPDATE_ONLY: Mapping[str, tuple[str, ...]] = {
    "product": ("pricelevelid",),
    "productpricelevel": ("transactioncurrencyid",),
    "opportunity": ("total*",),
    "salesorder": ("ispricelocked", "total*"),
    "invoice": ("ispricelocked", "total*"),
    "salesorderdetail": _LINE_UPDATE_ONLY,
    "invoicedetail": _LINE_UPDATE_ONLY,
}
_READ_ONLY: Mapping[str, tuple[str, ...]] = {
    "uom": ("isschedulebaseuom",),
    "product": ("exchangerate",),
    "pricelevel": ("exchangerate",),
    "productpricelevel": ("productnumber", "exchangerate"),
    "opportunity": ("accountid", "contactid"),
    "salesorderdetail": _LINE_READ_ONLY,
    "invoicedetail": _LINE_READ_ONLY,
    "annotation": ("filesize",),
}
_EVERYWHERE_CREATE_ONLY = ("overriddencreatedon",)


def writable(table: str, logical: str, read_only: bool, is_key: bool) -> tuple[bool, bool]:
    """Whether a column is taken at creation, and whether afterwards."""
    if read_only or _listed(_READ_ONLY.get(table, ()), logical):
        return False, False
    create_only = is_key or _listed((*_EVERYWHERE_CREATE_ONLY, *_CREATE_ONLY.get(table, ())), logical)
    return not _listed(_UPDATE_ONLY.get(table, ()), logical), not create_only


def _listed(patterns: tuple[str, ...], logical: str) -> bool:
    return any(fnmatchcase(logical, pattern) for pattern in patterns)
