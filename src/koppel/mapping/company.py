"""Several companies of Business Central that share one Dataverse: whose rows are whose (GEN-06, GEN-07).

The integration solution of Business Central puts a company into the tables of Dataverse that hold a company's records.
Here a mapping of such a table gets what it needs to set it and to keep to it; nothing else knows of companies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from koppel.mapping.load import digest
from koppel.mapping.model import FieldMapping, TableMapping

STAMP = "bcbi_companyid"
COMPANIES = "bcbi_company"
STAMPED = frozenset({"account", "contact", "invoice", "quote", "salesorder", "opportunity", "product", "pricelevel"})
DOCUMENTS = frozenset({"quote", "salesorder", "opportunity"})
"""People enter them in Dataverse for one of the companies."""

Stamping = Literal["none", "all", "documents"]
"""``all``: the rows of every table belong to one company. ``documents``: only documents do, for which people say which
company they are for; everything else belongs to all companies."""


def with_company(mappings: Mapping[str, TableMapping], company: str, stamping: Stamping) -> dict[str, TableMapping]:
    """The mappings of one company, whose row in Dataverse has the id ``company``."""
    return {name: _of_company(mapping, company, stamping) for name, mapping in mappings.items()}


def _of_company(mapping: TableMapping, company: str, stamping: Stamping) -> TableMapping:
    table = mapping.dataverse.table
    if stamping == "none" or table not in STAMPED or mapping.kind != "records":
        return mapping
    known = msgspec.structs.replace(
        mapping,
        parameters={**mapping.parameters, "company": company, "company_table": table},
        rules=msgspec.structs.replace(mapping.rules, precede=("company.row_first", *mapping.rules.precede)),
    )
    is_shared = stamping == "documents" and table not in DOCUMENTS | {"invoice"}
    changed = known if is_shared else _stamped(known, company, exactly=stamping == "documents" and table in DOCUMENTS)
    return msgspec.structs.replace(changed, digest=digest(changed))


def _stamped(mapping: TableMapping, company: str, *, exactly: bool) -> TableMapping:
    """The mapping of a table whose rows belong to one company. ``exactly``: a row of none is not taken either."""
    own = f"_{STAMP}_value eq {company}"
    mine = own if exactly else f"({own} or _{STAMP}_value eq null)"
    filter = f"({mapping.dataverse.filter}) and {mine}" if mapping.dataverse.filter else mine
    mapping = msgspec.structs.replace(mapping, dataverse=msgspec.structs.replace(mapping.dataverse, filter=filter))
    if not mapping.writes_to("dataverse"):  # an active quote takes no edits
        return mapping
    rules = msgspec.structs.replace(
        mapping.rules,
        refuse=(*mapping.rules.refuse, "company.is_another_ones"),
        uncouple=(*mapping.rules.uncouple, "company.release"),
    )
    return msgspec.structs.replace(
        mapping,
        rules=rules,
        fields=(*mapping.fields, FieldMapping(dataverse=STAMP, direction="to_dataverse", constant=company)),
    )
