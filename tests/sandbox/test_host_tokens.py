"""The token endpoint: who gets a token, for how long, and what a refusal looks like."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette
from starlette.types import Message

from koppel.sandbox.clock import Clock
from koppel.sandbox.tokens import ALICE, KOPPEL, TOKEN_SECONDS, Tokens, token_routes

FORM = {
    "grant_type": "client_credentials",
    "client_id": KOPPEL.client_id,
    "client_secret": KOPPEL.secret,
    "scope": "https://sandbox/.default",
}


async def call(
    app: Starlette, method: str, path: str, body: bytes = b"", query: str = ""
) -> tuple[int, dict[str, object]]:
    """One request to an application in process: status and JSON."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "scheme": "https"}
    await app(scope | {"headers": [(b"host", b"sandbox:8443")], "root_path": ""}, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> Tokens:
    return Tokens(clock)


async def ask(tokens: Tokens, **changes: str) -> tuple[int, dict[str, object]]:
    app = Starlette(routes=token_routes(tokens))
    return await call(app, "POST", "/contoso/oauth2/v2.0/token", urlencode(FORM | changes).encode())


async def test_a_registered_client_gets_a_bearer_token_that_names_it(tokens: Tokens) -> None:
    status, answer = await ask(tokens)
    assert status == 200
    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == answer["ext_expires_in"] == 3599
    assert tokens.bearer(f"Bearer {answer['access_token']}") == KOPPEL


async def test_people_get_tokens_of_their_own(tokens: Tokens) -> None:
    _, answer = await ask(tokens, client_id=ALICE.client_id, client_secret=ALICE.secret)
    assert tokens.bearer(f"bearer {answer['access_token']}") == ALICE


async def test_a_wrong_secret_is_refused_as_entra_id_refuses_it(tokens: Tokens) -> None:
    status, answer = await ask(tokens, client_secret="wrong")
    assert status == 401
    assert answer["error"] == "invalid_client"
    assert answer["error_codes"] == [7000215]
    assert str(answer["error_description"]).startswith("AADSTS7000215: ")
    assert {"timestamp", "trace_id", "correlation_id"} <= answer.keys()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"client_id": "mallory"}, "unauthorized_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"scope": "https://sandbox/user_impersonation"}, "invalid_scope"),
    ],
)
async def test_other_requests_are_refused_with_their_reason(tokens: Tokens, change: dict[str, str], error: str) -> None:
    status, answer = await ask(tokens, **change)
    assert (status, answer["error"]) == (400, error)


def test_a_token_holds_until_it_expires(tokens: Tokens, clock: Clock) -> None:
    header = f"Bearer {tokens.issue(FORM)}"
    clock.advance(TOKEN_SECONDS - 5)
    assert tokens.bearer(header) == KOPPEL
    clock.advance(6)
    assert tokens.bearer(header) is None


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "Basic {token}"])
def test_nothing_else_is_a_token(tokens: Tokens, header: str) -> None:
    assert tokens.bearer(header.replace("{token}", tokens.issue(FORM))) is None


async def test_discovery_leads_to_the_token_endpoint(tokens: Tokens) -> None:
    app = Starlette(routes=token_routes(tokens))
    query = urlencode(
        {"api-version": "1.1", "authorization_endpoint": "https://sandbox:8443/contoso/oauth2/v2.0/authorize"}
    )
    _, instance = await call(app, "GET", "/common/discovery/instance", query=query)
    discovery = "https://sandbox:8443/contoso/v2.0/.well-known/openid-configuration"
    assert instance["tenant_discovery_endpoint"] == discovery
    _, configuration = await call(app, "GET", discovery.removeprefix("https://sandbox:8443"))
    assert configuration["token_endpoint"] == "https://sandbox:8443/contoso/oauth2/v2.0/token"


def test_the_clock_does_not_go_back(clock: Clock) -> None:
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)
