"""Both clients, talking to both simulated systems in this process, on a clock that waiting moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import msgspec

from koppel.odata.records import Page
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.server import Sandbox, build_sandbox
from koppel.sandbox.tokens import KOPPEL, KOPPEL_TWO
from koppel.systems.auth import Credentials, tokens_for
from koppel.systems.business_central import BusinessCentral
from koppel.systems.dataverse import Dataverse
from koppel.systems.governor import BUSINESS_CENTRAL, DATAVERSE, Governor, Limits
from koppel.systems.schema import TableSchema
from koppel.systems.transport import AsgiTransport

ADDRESS = "http://sandbox"
COMPANION = "koppel/sync/v1.0"


class World(msgspec.Struct, frozen=True):
    """A sandbox and clients of its two systems. ``slept`` holds every wait in seconds."""

    sandbox: Sandbox
    slept: list[float]

    async def sleep(self, seconds: float) -> None:
        """Wait: the clock of both systems moves on, the real one hardly."""
        self.slept.append(seconds)
        self.sandbox.clock.advance(seconds)
        await asyncio.sleep(0.01)

    def dataverse(self, *, secret: str = KOPPEL.secret, known: Mapping[str, TableSchema] | None = None) -> Dataverse:
        """A client of the simulated Dataverse, signed in as Koppel."""
        transport = AsgiTransport(self.sandbox.app)
        tokens = tokens_for(credentials(secret), transport)
        return Dataverse(
            f"{ADDRESS}/dataverse", transport, tokens, governor=self._governor(DATAVERSE), sleep=self.sleep, known=known
        )

    def dataverse_of_two(self) -> Dataverse:
        """The same, shared by two users."""
        transport = AsgiTransport(self.sandbox.app)
        two = msgspec.structs.replace(credentials(KOPPEL_TWO.secret), client_id=KOPPEL_TWO.client_id)
        return Dataverse(
            f"{ADDRESS}/dataverse",
            transport,
            tokens_for(credentials(KOPPEL.secret), transport),
            governor=self._governor(DATAVERSE),
            sleep=self.sleep,
            others=[tokens_for(two, transport)],
        )

    def business_central(self, route: str = COMPANION, company: str = COMPANY) -> BusinessCentral:
        """A client of the simulated Business Central, signed in as Koppel."""
        transport = AsgiTransport(self.sandbox.app)
        return BusinessCentral(
            f"{ADDRESS}/bc/v2.0/Production",
            company,
            route,
            transport,
            tokens_for(credentials(KOPPEL.secret), transport),
            governor=self._governor(BUSINESS_CENTRAL),
            sleep=self.sleep,
        )

    def _governor(self, limits: Limits) -> Governor:
        return Governor(limits, clock=lambda: self.sandbox.clock().timestamp(), sleep=self.sleep)


def new_world(*, customers: int | None = None) -> World:
    """A sandbox that is empty but for ``customers`` of Adventure Works."""
    if customers is None:
        return World(build_sandbox(data="empty"), [])
    return World(build_sandbox(data="adventureworks", customers=customers), [])


def credentials(secret: str) -> Credentials:
    """Koppel's application, with a right or wrong secret."""
    return Credentials("common", KOPPEL.client_id, secret, f"{ADDRESS}/dataverse/.default", ADDRESS)


def guid(number: int) -> str:
    """A GUID that tells its number."""
    return f"{number:08x}-0000-4000-8000-000000000000"


async def pages_of(pages: AsyncIterator[Page]) -> list[Page]:
    """All pages."""
    return [page async for page in pages]
