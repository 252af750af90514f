"""The sandbox as a whole: both systems, the token endpoint, faults and the control routes, as one ASGI application.

::

    /dataverse/api/data/v9.2/                      Dataverse
    /bc/v2.0/{environment}/api/...                 Business Central
    /{tenant}/oauth2/v2.0/token                    tokens for both
    /sandbox/state, faults, limits, invoices ...   what neither system knows of
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from starlette.routing import Mount, Router
from starlette.types import ASGIApp

from koppel.sandbox.business_central import BusinessCentral, business_central_app, create_business_central
from koppel.sandbox.business_central.invoices import Invoices
from koppel.sandbox.clock import Clock, SystemClock, dated
from koppel.sandbox.control import control_routes
from koppel.sandbox.custom import CustomTables
from koppel.sandbox.dataverse.app import dataverse_app
from koppel.sandbox.dataverse.service import Dataverse, create_dataverse
from koppel.sandbox.faults import FaultMiddleware, SystemName
from koppel.sandbox.limits import Throttling
from koppel.sandbox.seed import INVOICES, Data, seed_business_central, seed_dataverse
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.tokens import ALICE, BOB, USERS, Tokens, token_routes


class Sandbox(NamedTuple):
    """Both systems in this process. ``app`` serves them; a test may also reach into them directly."""

    app: ASGIApp
    dataverse: Dataverse
    business_central: BusinessCentral
    tokens: Tokens
    faults: FaultMiddleware
    clock: Clock
    clocks: Mapping[SystemName, SystemClock]


def build_sandbox(
    *,
    data: Data = "adventureworks",
    customers: int | None = None,
    invoices: int = INVOICES,
    clock: Clock | None = None,
    tables: CustomTables = CustomTables(),
) -> Sandbox:
    """Both systems with their data: ``customers`` of Adventure Works (None: all 18,849) and the last ``invoices`` of
    theirs (there are 25,164), or empty.

    ``tables``: custom ones of either side. ``UsageError`` for one that is there already.
    """
    clock = clock or Clock()
    tokens = Tokens(clock)
    clocks: dict[SystemName, SystemClock] = {"dataverse": SystemClock(clock), "business_central": SystemClock(clock)}
    dataverse = create_dataverse(clocks["dataverse"], own_user=ALICE.id, tables=tables.dataverse)
    seed_dataverse(dataverse, data, customers, USERS)
    business_central = create_business_central(
        clocks["business_central"], caller=tokens.user_id, pages=tables.business_central
    )
    seed_business_central(business_central, data, customers, invoices)
    router = Router()
    faults = FaultMiddleware(router)
    throttling = Throttling(dataverse, business_central)
    router.routes += [
        Mount("/dataverse", dated(dataverse_app(dataverse, tokens.user_id), clocks["dataverse"])),
        Mount("/bc", dated(business_central_app(business_central), clocks["business_central"])),
        *control_routes(
            faults,
            clock,
            clocks,
            throttling,
            lambda: _rows(dataverse, business_central),
            dataverse.missing_privileges,
            Invoices(business_central, COMPANY, BOB.id),
            business_central.subscriptions,
            dataverse.webhooks,
        ),
        *token_routes(tokens),
    ]
    return Sandbox(faults, dataverse, business_central, tokens, faults, clock, clocks)


def _rows(dataverse: Dataverse, business_central: BusinessCentral) -> Mapping[SystemName, Mapping[str, int]]:
    """The number of rows in each table that has any."""
    stores = business_central.companies[COMPANY].stores
    return {
        "dataverse": {name: len(table.rows) for name, table in dataverse.tables.items() if table.rows},
        "business_central": {name: len(store.rows) for name, store in stores.items() if store.rows},
    }
