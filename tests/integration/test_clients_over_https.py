"""Both clients over the wire: a sandbox in a process of its own, TLS, tokens through msal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest

from koppel.errors import AuthenticationError, RemoteError, TransientError
from koppel.sandbox.process import SandboxProcess, start_sandbox
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.tokens import KOPPEL
from koppel.systems.auth import Credentials, tokens_for
from koppel.systems.business_central import BusinessCentral
from koppel.systems.dataverse import Dataverse
from koppel.systems.system import Create
from koppel.systems.transport import HttpTransport


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with start_sandbox(data="empty", https=True) as running:
        yield running


@pytest.fixture
async def transport(sandbox: SandboxProcess) -> AsyncIterator[HttpTransport]:
    made = HttpTransport(timeout=30, ca_file=sandbox.ca_file)
    yield made
    await made.close()


def credentials(sandbox: SandboxProcess) -> Credentials:
    scope = f"{sandbox.dataverse_url}/.default"
    return Credentials("sandbox", KOPPEL.client_id, KOPPEL.secret, scope, sandbox.base_url)


async def test_dataverse(sandbox: SandboxProcess, transport: HttpTransport) -> None:
    tokens = tokens_for(credentials(sandbox), transport, ca_file=sandbox.ca_file)
    client = Dataverse(sandbox.dataverse_url, transport, tokens)
    assert await client.who_am_i() == KOPPEL.id
    rows = [Create(f"{number:08x}-0000-4000-8000-00000000000d", {"name": f"A{number}"}) for number in range(300)]
    assert [result.error for result in await client.create("account", rows, ())] == [None] * 300
    assert len(await client.by_ids("account", ("name",), [row.id for row in rows])) == 300


async def test_business_central(sandbox: SandboxProcess, transport: HttpTransport) -> None:
    tokens = tokens_for(credentials(sandbox), transport, ca_file=sandbox.ca_file)
    address = f"{sandbox.business_central_url}/v2.0/Production"
    client = BusinessCentral(address, COMPANY, "koppel/sync/v1.0", transport, tokens)
    rows = [Create(f"{number:08x}-0000-4000-8000-00000000000b", {"displayName": "A"}) for number in range(150)]
    assert [result.error for result in await client.create("customers", rows, ())] == [None] * 150


async def test_a_wrong_secret(sandbox: SandboxProcess, transport: HttpTransport) -> None:
    wrong = msgspec.structs.replace(credentials(sandbox), client_secret="wrong")
    with pytest.raises(AuthenticationError, match="AADSTS7000215") as caught:
        await tokens_for(wrong, transport, ca_file=sandbox.ca_file).get()
    assert "Trace ID" not in str(caught.value)


async def test_a_certificate_that_nobody_trusts(sandbox: SandboxProcess) -> None:
    with pytest.raises(RemoteError, match="not trusted") as caught:
        await tokens_for(credentials(sandbox), HttpTransport()).get()
    assert "ca_file" in caught.value.remedy


async def test_a_certificate_that_the_connection_does_not_trust(sandbox: SandboxProcess) -> None:
    distrusting = HttpTransport()
    tokens = tokens_for(credentials(sandbox), distrusting, ca_file=sandbox.ca_file)
    client = Dataverse(sandbox.dataverse_url, distrusting, tokens)
    with pytest.raises(RemoteError, match="not trusted") as caught:
        await client.who_am_i()
    assert not isinstance(caught.value, TransientError)
    assert client.counters.requests == 1
    await client.close()
