"""The token endpoint: client credentials in, bearer tokens out, and whose token it is.

Speaks as much of Entra ID as client libraries ask before they trust an authority: instance discovery, the OpenID
configuration, and ``POST /{tenant}/oauth2/v2.0/token``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from urllib.parse import parse_qs
from uuid import NAMESPACE_URL, uuid4, uuid5

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TOKEN_SECONDS = 3599
"""Life of a token, as Entra ID tells it."""


class User(msgspec.Struct, frozen=True):
    """Somebody who may ask for tokens: a registered application, standing for itself or for a person.

    ``id`` is the user's GUID in both systems (``systemuserid``; the ``systemModifiedBy`` of Business Central).
    ``application`` tells Dataverse's application users from people.
    """

    client_id: str
    secret: str
    id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    application: bool = False

    @property
    def name(self) -> str:
        """The full name."""
        return f"{self.first_name} {self.last_name}".strip()


def _user(client_id: str, secret: str, name: str, *, application: bool = False) -> User:
    first, _, last = name.partition(" ")
    email = "" if application else f"{client_id}@adventure-works.com"
    return User(
        client_id, secret, str(uuid5(NAMESPACE_URL, f"koppel:user:{client_id}")), first, last, email, application
    )


KOPPEL = _user("koppel", "koppel-sandbox-secret", "Koppel Integration", application=True)
KOPPEL_TWO = _user("koppel-2", "koppel-2-sandbox-secret", "Koppel Integration Two", application=True)
ALICE = _user("alice", "alice-sandbox-secret", "Alice Ciccu")
BOB = _user("bob", "bob-sandbox-secret", "Bob Hohman")
USERS = (KOPPEL, KOPPEL_TWO, ALICE, BOB)
"""The connection's own user, one that may share the work, a person who works in Sales, one who works in the back
office."""


class TokenRefusedError(Exception):
    """A token request that Entra ID would refuse; ``number`` is that of the AADSTS error."""

    def __init__(self, status: int, error: str, number: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.number = number


class Tokens:
    """Every user, and every token that was given out."""

    def __init__(self, clock: Callable[[], datetime], users: Sequence[User] = USERS) -> None:
        self.users = {user.client_id: user for user in users}
        self.clock = clock
        self._issued: dict[str, tuple[User, float]] = {}

    def issue(self, form: Mapping[str, str]) -> str:
        """A new token for the client of ``form``; ``TokenRefusedError`` when it is not entitled to one."""
        user = self._authenticate(form)
        now = self.clock().timestamp()
        self._issued = {token: entry for token, entry in self._issued.items() if entry[1] > now}
        token = secrets.token_urlsafe(48)
        self._issued[token] = (user, now + TOKEN_SECONDS)
        return token

    def bearer(self, authorization: str) -> User | None:
        """Whose token an ``Authorization`` header carries; None when there is none, or none that holds."""
        scheme, _, token = authorization.partition(" ")
        user, until = self._issued.get(token.strip(), (None, 0.0))
        known = user is not None and scheme.lower() == "bearer"
        return user if known and until > self.clock().timestamp() else None

    def user_id(self, authorization: str | None) -> str | None:
        """The id of the user whom an ``Authorization`` header stands for; None when it is nobody's."""
        user = self.bearer(authorization or "")
        return user.id if user else None

    def _authenticate(self, form: Mapping[str, str]) -> User:
        if form.get("grant_type") != "client_credentials":
            raise TokenRefusedError(
                400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type."
            )
        if not form.get("scope", "").endswith("/.default"):
            raise TokenRefusedError(400, "invalid_scope", 1002012, "The provided value for scope is not valid.")
        client = form.get("client_id", "")
        user = self.users.get(client)
        if user is None:
            raise TokenRefusedError(400, "unauthorized_client", 700016, f"Application '{client}' was not found.")
        if not secrets.compare_digest(form.get("client_secret", "").encode(), user.secret.encode()):
            raise TokenRefusedError(
                401, "invalid_client", 7000215, f"Invalid client secret provided for app '{client}'."
            )
        return user


def token_routes(tokens: Tokens) -> list[Route]:
    """The routes of the token endpoint, at the root of the server."""

    async def token(request: Request) -> Response:
        form = {name: values[-1] for name, values in parse_qs((await request.body()).decode()).items()}
        try:
            issued = tokens.issue(form)
        except TokenRefusedError as refused:
            return _json(_refusal(refused, tokens), refused.status)
        return _json(_answer(issued))

    return [
        Route("/{tenant}/oauth2/v2.0/token", token, methods=["POST"]),
        Route("/{tenant}/v2.0/.well-known/openid-configuration", _configuration),
        Route("/common/discovery/instance", _instance),
    ]


def _answer(token: str) -> dict[str, object]:
    life = {"expires_in": TOKEN_SECONDS, "ext_expires_in": TOKEN_SECONDS}
    return {"token_type": "Bearer", **life, "access_token": token}


def _refusal(refused: TokenRefusedError, tokens: Tokens) -> dict[str, object]:
    when = tokens.clock().strftime("%Y-%m-%d %H:%M:%SZ")
    trace, correlation = str(uuid4()), str(uuid4())
    text = f"AADSTS{refused.number}: {refused} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {when}"
    return {
        "error": refused.error,
        "error_description": text,
        "error_codes": [refused.number],
        "timestamp": when,
        "trace_id": trace,
        "correlation_id": correlation,
    }


async def _configuration(request: Request) -> Response:
    tenant = _base(request) + "/" + request.path_params["tenant"]
    return _json(
        {
            "issuer": f"{tenant}/v2.0",
            "authorization_endpoint": f"{tenant}/oauth2/v2.0/authorize",
            "token_endpoint": f"{tenant}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{tenant}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{tenant}/discovery/v2.0/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid"],
        }
    )


async def _instance(request: Request) -> Response:
    authorize = request.query_params.get("authorization_endpoint", f"{_base(request)}/common/oauth2/v2.0/authorize")
    tenant = authorize.split("/oauth2/")[0].rstrip("/").rpartition("/")[2]
    host = request.url.netloc
    return _json(
        {
            "tenant_discovery_endpoint": f"{_base(request)}/{tenant}/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
        }
    )


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
