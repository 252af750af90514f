"""A process that synchronises everything and kills itself at a request, with the signal that nobody can catch.

Arguments: the sandbox's address, the database's, and a text: the first POST that holds it is deadly (empty: none is),
with ``after`` once it was carried out. Prints the results as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

from koppel.config import Auth, BusinessCentral, Config, Dataverse, Secret
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.tokens import KOPPEL
from koppel.sync.open import open_session
from koppel.sync.request import Request
from koppel.sync.run import synchronise
from koppel.sync.session import wholes
from koppel.systems import transport


def mortal(deadly: str, *, after: bool) -> None:
    """Let every transport of this process look out for its death."""
    send = transport.HttpTransport.send

    async def look_out(self: transport.HttpTransport, request: transport.Request) -> transport.Response:
        if not deadly or request.method != "POST" or deadly not in request.url + request.body.decode():
            return await send(self, request)
        if after:
            await send(self, request)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("alive")

    transport.HttpTransport.send = look_out  # type: ignore[method-assign]


async def run(address: str, database: str) -> None:
    os.environ["KOPPEL_TEST_SECRET"] = KOPPEL.secret
    auth = Auth(
        tenant="common", client_id=KOPPEL.client_id, client_secret=Secret(env="KOPPEL_TEST_SECRET"), authority=address
    )
    config = Config(
        business_central=BusinessCentral(url=f"{address}/bc/v2.0/Production", company=COMPANY, auth=auth),
        dataverse=Dataverse(url=f"{address}/dataverse", auth=auth),
        database=database,
    )
    async with open_session(config) as session:
        names = (*wholes(session.mappings, list(session.mappings)), "CUSTOMER")
        results = [await synchronise(session, name, Request(full=True)) for name in names]
    print(json.dumps([[result.mapping, result.write_requests] for result in results]))


if __name__ == "__main__":
    mortal(sys.argv[3], after="after" in sys.argv)
    asyncio.run(run(sys.argv[1], sys.argv[2]))
