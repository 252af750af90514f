"""Serves a sandbox whose environment has two companies that share one Dataverse, and a team there that may own rows.

Prints its address, and stops when its standard input is closed.
"""

from __future__ import annotations

import sys
from typing import Any
from uuid import uuid4

from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.seed_dataverse import BUSINESS_UNIT_ID
from koppel.sandbox.serve import serve
from koppel.sandbox.server import Sandbox, build_sandbox

FABRIKAM = "Fabrikam"
TEAM = "30000000-0000-4000-8000-000000000001"


def two_companies() -> Sandbox:
    """Each with a customer, a vendor, and an invoice that comes from no order; their numbers are the same."""
    sandbox = build_sandbox(data="empty")
    sandbox.business_central.add_company(FABRIKAM, local_currency="USD")
    for company in (COMPANY, FABRIKAM):
        invoice = str(uuid4())
        rows: dict[str, dict[str, Any]] = {
            "marketingSetup": {"businessRelationCodeForCustomers": "CUST", "businessRelationCodeForVendors": "VEND"},
            "customers": {"number": "C1", "displayName": f"Adatum of {company}"},
            "vendors": {"number": "V1", "displayName": f"Litware of {company}"},
            "postedSalesInvoices": {
                "id": invoice,
                "number": f"PS-{company}",
                "customerNumber": "C1",
                "totalAmountExcludingTax": 10,
                "totalAmountIncludingTax": 10,
                "remainingAmount": 10,
            },
            "postedSalesInvoiceLines": {
                "documentId": invoice,
                "sequence": 10000,
                "lineType": "Account",
                "lineObjectNumber": "6410",
                "description": "Freight",
                "quantity": 1,
                "unitPrice": 10,
                "netAmount": 10,
                "netAmountIncludingTax": 10,
            },
        }
        for table, row in rows.items():
            if table != "marketingSetup" or company == FABRIKAM:
                sandbox.business_central.load(company, table, [row])
    team = {"teamid": TEAM, "name": "Sales", "teamtype": 0, "_businessunitid_value": BUSINESS_UNIT_ID}
    sandbox.dataverse.load("team", [team])
    sandbox.dataverse.load("teamroles", [{"teamid": TEAM, "roleid": str(uuid4())}])
    return sandbox


if __name__ == "__main__":
    serve(
        two_companies().app,
        host="127.0.0.1",
        port=0,
        ca_file=None,
        ready=lambda base_url: print(base_url, flush=True),
        until=sys.stdin.fileno(),
    )
