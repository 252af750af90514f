from __future__ import annotations

import asyncio
from urllib.parse import parse_qs

import msgspec
import pytest

from koppel.errors import AuthenticationError, TransientError
from koppel.systems.auth import Credentials, Token, Tokens, tokens_for
from koppel.systems.transport import Request, Response

CREDENTIALS = Credentials("tenant-1", "app-1", "s3cret-value", "https://org/.default", "http://login.example")


class Endpoint:
    """A token endpoint that always answers the same."""

    def __init__(self, status: int, body: object) -> None:
        self.response = Response(status, {}, body if isinstance(body, bytes) else msgspec.json.encode(body))
        self.requests: list[Request] = []

    async def send(self, request: Request) -> Response:
        self.requests.append(request)
        return self.response

    async def close(self) -> None:
        raise AssertionError("it is not the tokens' transport to close")


async def test_asks_with_the_form_of_client_credentials() -> None:
    endpoint = Endpoint(200, {"token_type": "Bearer", "expires_in": 3599, "access_token": "abc"})
    assert await tokens_for(CREDENTIALS, endpoint).get() == "abc"
    (request,) = endpoint.requests
    assert (request.method, request.url) == ("POST", "http://login.example/tenant-1/oauth2/v2.0/token")
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["app-1"],
        "client_secret": ["s3cret-value"],
        "scope": ["https://org/.default"],
    }


async def test_a_wrong_secret_is_told_with_a_remedy_and_without_the_secret() -> None:
    text = "AADSTS7000215: Invalid client secret provided. Trace ID: 1 Correlation ID: 2"
    endpoint = Endpoint(401, {"error": "invalid_client", "error_description": text})
    with pytest.raises(AuthenticationError, match="AADSTS7000215: Invalid client secret provided") as caught:
        await tokens_for(CREDENTIALS, endpoint).get()
    assert "Trace ID" not in str(caught.value)
    assert "client secret" in caught.value.remedy
    assert "s3cret-value" not in str(caught.value)


@pytest.mark.parametrize(("status", "kind"), [(503, TransientError), (429, TransientError), (200, AuthenticationError)])
async def test_something_else_than_a_token(status: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"login\.example|tenant-1"):
        await tokens_for(CREDENTIALS, Endpoint(status, b"<html>")).get()


def test_credentials_do_not_show_the_secret() -> None:
    assert "s3cret-value" not in f"{CREDENTIALS} {CREDENTIALS!r}"


class Fetching:
    def __init__(self) -> None:
        self.count = 0

    async def __call__(self) -> Token:
        self.count += 1
        await asyncio.sleep(0)
        return Token(f"t{self.count}", 1000)


async def test_a_token_is_kept_until_shortly_before_it_expires() -> None:
    now = 0.0
    fetching = Fetching()
    tokens = Tokens(fetching, lambda: now)
    assert await asyncio.gather(*(tokens.get() for _ in range(5))) == ["t1"] * 5
    now = 879.0
    assert await tokens.get() == "t1"
    now = 881.0
    assert await tokens.get() == "t2"


async def test_a_refused_token_is_fetched_again_once_for_all() -> None:
    fetching = Fetching()
    tokens = Tokens(fetching, lambda: 0.0)
    first = await tokens.get()
    tokens.discard(first)
    assert await tokens.get() == "t2"
    tokens.discard(first)  # late news of the same refusal
    assert await tokens.get() == "t2"
