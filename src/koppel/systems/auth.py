"""Bearer tokens from Entra ID by client credentials, kept until shortly before they expire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from koppel.errors import AuthenticationError, TransientError
from koppel.systems.transport import Request, Transport, distrusted, trusting

if TYPE_CHECKING:
    import requests

ENTRA_ID = "https://login.microsoftonline.com"
_EARLY = 120.0  # seconds: a token is renewed this long before it expires, longer than clocks differ


class Credentials(msgspec.Struct, frozen=True):
    """Whom to be: the application ``client_id`` of ``tenant``, known to ``authority`` (a base URL), and ``scope``.

    The secret never shows when this is printed.
    """

    tenant: str
    client_id: str
    client_secret: str
    scope: str
    authority: str = ENTRA_ID

    def __repr__(self) -> str:
        return f"Credentials({self.authority}/{self.tenant}, client_id={self.client_id!r})"

    __str__ = __repr__


class Token(msgspec.Struct, frozen=True):
    """A bearer token and the seconds that it lives from now."""

    text: str
    seconds: float


Fetch = Callable[[], Awaitable[Token]]


class Tokens:
    """The current token of one connection; a new one when it is about to expire or was refused."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = asyncio.Lock()
        self._current = ""
        self._until = 0.0

    async def get(self) -> str:
        """The token to send."""
        async with self._lock:
            if not self._current or self._clock() >= self._until:
                token = await self._fetch()
                self._current = token.text
                self._until = self._clock() + max(token.seconds - _EARLY, token.seconds / 2)
            return self._current

    def discard(self, token: str) -> None:
        """A token was refused: fetch another next time, unless somebody did already."""
        if token == self._current:
            self._current = ""


def tokens_for(credentials: Credentials, transport: Transport, *, ca_file: Path | None = None) -> Tokens:
    """Tokens of an application. Entra ID is asked through msal, which accepts https authorities only; any other
    authority, such as the sandbox's, gets the same form over ``transport``."""
    if credentials.authority.startswith("https://"):
        return Tokens(lambda: asyncio.to_thread(_ask_entra, credentials, ca_file))
    return Tokens(lambda: _post_form(credentials, transport))


def _ask_entra(credentials: Credentials, ca_file: Path | None) -> Token:
    import msal  # takes a third of a second: only when it is needed
    import requests

    session = _session(ca_file)
    try:
        application = msal.ConfidentialClientApplication(
            credentials.client_id,
            client_credential=credentials.client_secret,
            authority=f"{credentials.authority}/{credentials.tenant}",
            instance_discovery=credentials.authority == ENTRA_ID,
            http_client=session,
        )
        return _token(application.acquire_token_for_client([credentials.scope]), credentials)
    except ValueError as error:  # msal's word for a tenant or authority that does not exist
        raise _refused(credentials, str(error)) from error
    except requests.exceptions.SSLError as error:
        raise distrusted(credentials.authority, str(error)) from error
    except requests.RequestException as error:
        raise _unreachable(credentials, error) from error
    finally:
        session.close()


def _session(ca_file: Path | None) -> requests.Session:
    import requests
    from requests.adapters import HTTPAdapter

    class Trusting(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, ssl_context=trusting(ca_file) if ca_file else None, **options)

    session = requests.Session()
    session.trust_env = False
    session.mount("https://", Trusting())
    return session


async def _post_form(credentials: Credentials, transport: Transport) -> Token:
    form = {
        "grant_type": "client_credentials",
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
        "scope": credentials.scope,
    }
    url = f"{credentials.authority}/{credentials.tenant}/oauth2/v2.0/token"
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    try:
        answer = await transport.send(Request("POST", url, headers, urlencode(form).encode()))
    except TransientError as error:
        raise _unreachable(credentials, error.message) from error
    if answer.status >= 500 or answer.status == 429:
        raise _unreachable(credentials, f"HTTP status {answer.status}")
    try:
        content = msgspec.json.decode(answer.body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise _refused(credentials, f"HTTP status {answer.status}, and no JSON") from error
    return _token(content, credentials)


def _token(answer: dict[str, Any], credentials: Credentials) -> Token:
    if "access_token" not in answer:
        raise _refused(credentials, answer.get("error_description") or answer.get("error") or "no token in the answer")
    return Token(answer["access_token"], float(answer.get("expires_in", 3600)))


def _refused(credentials: Credentials, reason: str) -> AuthenticationError:
    first_line = reason.splitlines()[0].partition(" Trace ID:")[0] if reason else ""
    return AuthenticationError(
        f"no token for application {credentials.client_id} of tenant {credentials.tenant}: {first_line}",
        status=401,
        remedy="check tenant, client id and client secret (it may have expired) and that an administrator consented",
    )


def _unreachable(credentials: Credentials, reason: object) -> TransientError:
    error = TransientError(f"cannot get a token from {credentials.authority}: {reason}")
    error.remedy = "check the network and the authority's address"
    return error
