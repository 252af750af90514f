"""``koppel.yaml``: the two connections, the database, the folders of mappings. Secrets stay outside of it.

``python -m koppel.config`` prints the JSON Schema of the file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec

from koppel.document import Where, json_schema, read_file, report
from koppel.errors import ConfigError

FILE = "koppel.yaml"
VARIABLE = "KOPPEL_CONFIG"
ENTRA = "https://login.microsoftonline.com"

_LITERAL = "A secret has no place in this file: write {env: NAME} or {file: PATH}."
_LOCAL = ("localhost", "127.0.0.1", "::1")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Mistake = tuple[Where, str, str]
"""Where in the file, what, what to do."""


class Secret(msgspec.Struct, frozen=True):
    """Where a secret is: environment variable ``env``, or the text of ``file`` (without the last line break)."""

    env: str = ""
    file: Path | None = None

    def value(self) -> str:
        """The secret; ``ConfigError`` names where it was looked for."""
        if self.file is None:
            found = os.environ.get(self.env, "")
            place, remedy = f"environment variable {self.env}", f"Set {self.env} to the secret."
        else:
            found, place, remedy = _text(self.file), str(self.file), "Write the secret into this file."
        if not found:
            raise ConfigError("there is no secret", place=place, remedy=remedy)
        return found


class Auth(msgspec.Struct, frozen=True, kw_only=True):
    """An app registration of Entra ID that signs in with a client secret."""

    tenant: str
    client_id: str
    client_secret: Annotated[Secret, msgspec.Meta(extra={"remedy": _LITERAL})]
    authority: str = ENTRA


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Another app registration of the same tenant."""

    client_id: str
    client_secret: Annotated[Secret, msgspec.Meta(extra={"remedy": _LITERAL})]


class BusinessCentral(msgspec.Struct, frozen=True, kw_only=True):
    """``url``: root of the environment, without ``/api``; ``company``: its name or id; ``route``: the API to use;
    ``more_users``: who share the work, since the system limits each user."""

    url: str
    company: str
    auth: Auth
    more_users: tuple[User, ...] = ()
    route: str = "koppel/sync/v1.0"
    ca_file: Path | None = None


class Dataverse(msgspec.Struct, frozen=True, kw_only=True):
    """``url``: root of the environment, without ``/api``; ``more_users``: who share the work, since the system limits
    each user."""

    url: str
    auth: Auth
    more_users: tuple[User, ...] = ()
    ca_file: Path | None = None


Connection = TypeVar("Connection", BusinessCentral, Dataverse)


class BrakeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a job may do without being told ``--force``: records deleted, percent of a mapping's couplings changed."""

    deletions: int = 50
    changes_percent: int = 30


class Webhooks(msgspec.Struct, frozen=True, kw_only=True):
    """``url``: where both systems reach ``koppel serve``; ``secret``: what shows that they are the ones who post."""

    url: str
    secret: Annotated[Secret, msgspec.Meta(extra={"remedy": _LITERAL})]


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail server, which on port 587 is spoken to privately. ``user`` and ``password`` if it asks for them."""

    to: tuple[str, ...]
    sender: str
    host: str
    port: int = 587
    user: str = ""
    password: Annotated[Secret, msgspec.Meta(extra={"remedy": _LITERAL})] | None = None


class Alerts(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told when a mapping has not run for so many ``hours``, failed three times in a row, or has conflicts, or
    when a queue has no living worker."""

    url: str = ""
    mail: Mail | None = None
    hours: int = 24


class Ownership(msgspec.Struct, frozen=True, kw_only=True):
    """Who owns new rows of Dataverse (GEN-02): the user of the salesperson (``person``), or the ``team`` alone.

    ``team``: the default owning team, by name or id. ``unsound``: what an owner does that Dataverse could not take.
    """

    model: Literal["person", "team"] = "person"
    team: str
    unsound: Literal["warn", "fail"] = "warn"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """``koppel.yaml``. Paths are absolute or relative to the working directory, no longer to the file.

    ``database``: a PostgreSQL address; without it Koppel runs its own in ``folder``. ``mappings``: folders of mapping
    files. ``enabled``: mappings that are on or off, whatever their files say. ``functions``: the folder of Python
    modules whose functions they name. ``webhooks``: without them, changes are only asked for. ``keep_jobs``: days after
    which workers delete jobs and their logs.
    ``alerts``: who is told when something is wrong. ``company_stamp``: which rows of Dataverse belong to one of several
    companies (GEN-06): those of ``all`` tables that can, or ``documents`` alone.
    ``ownership``: without it the user of a salesperson owns a row, or Koppel's own.
    """

    business_central: BusinessCentral
    dataverse: Dataverse
    database: str | None = None
    # A factory, since a schema cannot show a path as default.
    folder: Path = msgspec.field(default_factory=lambda: Path(".koppel"))
    mappings: tuple[Path, ...] = ()
    enabled: dict[str, bool] = {}
    functions: Path | None = None
    brakes: BrakeSettings = BrakeSettings()
    webhooks: Webhooks | None = None
    keep_jobs: int = 90
    alerts: Alerts | None = None
    company_stamp: Literal["none", "all", "documents"] = "none"
    ownership: Ownership | None = None


DESCRIPTIONS = {
    "Config.business_central": "The connection to Business Central.",
    "Config.dataverse": "The connection to Dataverse.",
    "Config.database": "PostgreSQL address; the password stands in PGPASSWORD or ~/.pgpass. Without: Koppel's own.",
    "Config.folder": "Where Koppel keeps what it needs on this machine.",
    "Config.mappings": "Folders of mapping files, besides the standard mappings.",
    "Config.enabled": "Mappings that are on (true) or off (false), whatever their files say.",
    "Config.functions": "Folder of Python modules with functions that transform values.",
    "Config.brakes": "What a job may do before it stops and asks.",
    "Config.webhooks": "How the systems tell `koppel serve` of changes.",
    "Config.keep_jobs": "Days after which workers delete jobs and their logs; 0: never.",
    "Config.ownership": "Who owns new rows of Dataverse.",
    "Ownership.model": "The user of the salesperson, or the team alone.",
    "Ownership.team": "The default owning team: its name or id.",
    "Ownership.unsound": "What an owner does that is not there or has no role: warn (and leave it out), or fail.",
    "Config.company_stamp": "Which rows of Dataverse belong to one of several companies.",
    "Config.alerts": "Who is told when a mapping has not run, keeps failing, or has conflicts.",
    "Alerts.url": "Address that gets a POST with `text` and `alerts`, as chat programs and monitors take it.",
    "Alerts.mail": "Who gets a mail.",
    "Alerts.hours": "Without a run for so long, a mapping is late.",
    "Mail.to": "Who gets it.",
    "Mail.sender": "Who sends it.",
    "Mail.host": "The mail server.",
    "Mail.port": "Its port; on 587 the connection is made private first.",
    "Mail.user": "Who signs in there, if it asks for that.",
    "Mail.password": "Where the password is: {env: NAME} or {file: PATH}.",
    "Webhooks.url": "Where both systems reach it: https://koppel.example.com.",
    "Webhooks.secret": "Where the secret is that they post: {env: NAME} or {file: PATH}.",
    "BusinessCentral.url": "Root of the environment: https://api.businesscentral.dynamics.com/v2.0/<tenant>/<environment>.",
    "BusinessCentral.company": "Name or id of the company.",
    "BusinessCentral.auth": "How to sign in.",
    "BusinessCentral.more_users": "Further app registrations that share the work: the system limits each.",
    "BusinessCentral.route": "The API: koppel/sync/v1.0 (the companion pages) or v2.0.",
    "BusinessCentral.ca_file": "Certificates to trust besides those of the system.",
    "Dataverse.url": "Root of the environment: https://<organization>.crm4.dynamics.com.",
    "Dataverse.auth": "How to sign in.",
    "Dataverse.more_users": "Further app registrations that share the work: the system limits each.",
    "Dataverse.ca_file": "Certificates to trust besides those of the system.",
    "Auth.tenant": "The tenant: its id or domain.",
    "Auth.client_id": "Id of the app registration.",
    "Auth.client_secret": "Where its client secret is: {env: NAME} or {file: PATH}.",
    "Auth.authority": "Who signs in; Entra ID unless it is a sandbox.",
    "User.client_id": "Id of the app registration.",
    "User.client_secret": "Where its client secret is: {env: NAME} or {file: PATH}.",
    "Secret.env": "Environment variable that holds the secret.",
    "Secret.file": "File that holds the secret.",
    "BrakeSettings.deletions": "Records a job may delete.",
    "BrakeSettings.changes_percent": "Percent of a mapping's couplings a job may change.",
}


def load_config(path: Path) -> Config:
    """Read ``koppel.yaml``; one ``ConfigError`` lists every mistake by line."""
    document = read_file(path, Config)
    if config := document.value:
        for where, message, remedy in _mistakes(config):
            document.add(where, message, remedy)
    report(document.problems, ConfigError)
    assert document.value is not None, "a document without value has problems"
    return _resolved(document.value, path.parent)


def find_config() -> Path:
    """The file that ``$KOPPEL_CONFIG`` names, else ``koppel.yaml`` in the working directory."""
    named = os.environ.get(VARIABLE)
    path = Path(named or FILE)
    if not path.is_file():
        where = f"environment variable {VARIABLE}" if named else ""
        raise ConfigError(f"there is no {path}", place=where, remedy="Write one with `koppel init`.")
    return path


def write_config(
    path: Path,
    *,
    business_central_url: str = "https://api.businesscentral.dynamics.com/v2.0/TENANT/Production",
    company: str = "My Company",
    dataverse_url: str = "https://ORGANIZATION.crm4.dynamics.com",
    tenant: str = "TENANT",
    client_id: str = "00000000-0000-0000-0000-000000000000",
    authority: str = ENTRA,
    ca_file: Path | None = None,
) -> None:
    """Write a commented file to start from, and the schema that editors check it by; an existing file is kept."""
    if path.exists():
        raise ConfigError("the file exists already", place=str(path), remedy="Edit it, or move it away first.")
    values = {
        "business_central_url": business_central_url,
        "company": company,
        "dataverse_url": dataverse_url,
        "tenant": tenant,
        "client_id": client_id,
        "authority": authority,
    }
    # A JSON string is a YAML string, whatever it holds.
    quoted = {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}
    trust = f"ca_file: {json.dumps(str(ca_file))}" if ca_file else "# ca_file: certificates.pem"
    path.write_text(Template(_STARTER).substitute(quoted, ca_file=trust), "utf-8")
    schema = path.parent / ".koppel" / "koppel.schema.json"
    schema.parent.mkdir(exist_ok=True)
    schema.write_text(json.dumps(config_schema(), indent=2) + "\n", "utf-8")


def config_schema() -> dict[str, Any]:
    """The JSON Schema of ``koppel.yaml``."""
    return json_schema(Config, "Configuration of Koppel", DESCRIPTIONS)


_STARTER = """\
# yaml-language-server: $$schema=.koppel/koppel.schema.json
# Configuration of Koppel. `koppel check` tests it and writes nothing.

business_central:
  # Root of the environment, without /api.
  url: $business_central_url
  # Name or id of the company.
  company: $company
  # The companion pages; v2.0 is the standard API, which lacks some of the columns.
  route: koppel/sync/v1.0
  # The app registration that Koppel signs in with. Secrets never stand in this file: env names an environment
  # variable, file (instead of env) a file that holds the secret.
  auth:
    tenant: $tenant
    client_id: $client_id
    client_secret: {env: KOPPEL_CLIENT_SECRET}
    authority: $authority
  # Certificates to trust besides those of the system.
  $ca_file

dataverse:
  # Root of the environment, without /api.
  url: $dataverse_url
  auth:
    tenant: $tenant
    client_id: $client_id
    client_secret: {env: KOPPEL_CLIENT_SECRET}
    authority: $authority
  $ca_file

# Koppel keeps its state in a PostgreSQL of its own in this folder ...
folder: .koppel
# ... or in yours. The password stands in PGPASSWORD or ~/.pgpass.
# database: postgresql://koppel@db.example.com/koppel

# Folders with your own mapping files, besides the standard mappings.
mappings: []

# Mappings that are on or off, whatever their files say; `koppel mappings` lists them.
# enabled: {VENDOR: true, OPPORTUNITY: false}

# Folder with Python modules, if a mapping transforms values by functions of your own.
# functions: functions

# A job stops before it writes when it would do more than this.
brakes: {deletions: 50, changes_percent: 30}

# Where both systems reach `koppel serve`, which they tell of changes then; without it they are asked.
# webhooks:
#   url: https://koppel.example.com
#   secret: {env: KOPPEL_WEBHOOK_SECRET}

# If several companies share this Dataverse: whose rows are whose (all, documents).
# company_stamp: all

# Who owns new rows of Dataverse, if not the users of salespeople alone.
# ownership: {model: team, team: Sales}

# Who is told when a mapping has not run for long, keeps failing, or has conflicts.
# alerts:
#   url: https://chat.example.com/hooks/koppel
#   mail: {to: [admin@example.com], sender: koppel@example.com, host: smtp.example.com}
"""


def _mistakes(config: Config) -> Iterator[Mistake]:
    yield from _connection(config.business_central, "business_central")
    yield from _connection(config.dataverse, "dataverse")
    if not config.business_central.company.strip():
        yield ("business_central", "company"), "the company is blank", "Write its name or id."
    if config.database is not None:
        yield from _database(config.database)
    if config.alerts is not None:
        yield from _alerts(config.alerts)
    if config.ownership is not None and not config.ownership.team.strip():
        yield ("ownership", "team"), "the team is blank", "Write its name or id."
    if config.keep_jobs < 0:
        yield ("keep_jobs",), "`keep_jobs` cannot be negative", "0 keeps them for ever."
    if config.webhooks is not None:
        yield from _url(config.webhooks.url, ("webhooks", "url"))
        yield from _secret(config.webhooks.secret, ("webhooks", "secret"))
    if config.brakes.deletions < 0:
        yield ("brakes", "deletions"), "`deletions` cannot be negative", "0 stops a job at the first deletion."
    if not 0 <= config.brakes.changes_percent <= 100:
        yield ("brakes", "changes_percent"), "`changes_percent` must be from 0 to 100", "100 allows every change."


def _connection(connection: BusinessCentral | Dataverse, name: str) -> Iterator[Mistake]:
    yield from _url(connection.url, (name, "url"))
    if "/api/" in f"{connection.url}/":
        yield (name, "url"), "the address must be the root of the environment", "Leave out `/api` and what follows."
    yield from _url(connection.auth.authority, (name, "auth", "authority"))
    yield from _secret(connection.auth.client_secret, (name, "auth", "client_secret"))
    known = {connection.auth.client_id}
    for number, user in enumerate(connection.more_users):
        place = (name, "more_users", number)
        yield from _secret(user.client_secret, (*place, "client_secret"))
        if user.client_id in known:
            yield (*place, "client_id"), "this user is there already", "Leave it out: each counts once."
        known.add(user.client_id)


def _alerts(alerts: Alerts) -> Iterator[Mistake]:
    if alerts.url:
        yield from _url(alerts.url, ("alerts", "url"))
    if not (alerts.url or alerts.mail):
        yield ("alerts",), "nobody is told", "Write `url`, `mail` or both."
    if alerts.hours < 1:
        yield ("alerts", "hours"), "`hours` must be from 1 on", "The standard mappings are on hold for up to 24."
    if alerts.mail and alerts.mail.password:
        yield from _secret(alerts.mail.password, ("alerts", "mail", "password"))


def _url(url: str, where: Where) -> Iterator[Mistake]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        yield where, f"`{url}` is no web address", "Write it in full, as https://host/path."
    elif parts.scheme == "http" and parts.hostname not in _LOCAL:
        yield where, "the address must start with https://", "Plain http is for a sandbox on this machine."


def _secret(secret: Secret, where: Where) -> Iterator[Mistake]:
    if bool(secret.env) == (secret.file is not None):
        yield where, "a secret is in an environment variable or in a file", "Write {env: NAME} or {file: PATH}."
    elif secret.env and not _VARIABLE_NAME.fullmatch(secret.env):
        # What stands there may be the secret itself: it is not repeated.
        yield (*where, "env"), "`env` is not the name of an environment variable", _LITERAL


def _database(address: str) -> Iterator[Mistake]:
    parts = urlsplit(address)
    if parts.scheme not in ("postgresql", "postgres"):
        yield ("database",), "the database must be PostgreSQL", "Write postgresql://user@host/database."
    elif parts.password or "password=" in parts.query:
        remedy = "Leave it out and put it into PGPASSWORD or ~/.pgpass."
        yield ("database",), "the address holds a password", remedy


def _resolved(config: Config, folder: Path) -> Config:
    """Paths no longer depend on where the file is, addresses have no slash at the end."""
    replace = msgspec.structs.replace
    return replace(
        config,
        business_central=_resolved_connection(config.business_central, folder),
        dataverse=_resolved_connection(config.dataverse, folder),
        folder=_path(config.folder, folder),
        mappings=tuple(_path(path, folder) for path in config.mappings),
        functions=config.functions and _path(config.functions, folder),
        webhooks=config.webhooks and _resolved_webhooks(config.webhooks, folder),
        alerts=config.alerts and _resolved_alerts(config.alerts, folder),
    )


def _resolved_connection(connection: Connection, folder: Path) -> Connection:
    replace = msgspec.structs.replace
    auth, secret = connection.auth, _resolved_secret(connection.auth.client_secret, folder)
    return replace(
        connection,
        url=connection.url.rstrip("/"),
        auth=replace(auth, client_secret=secret, authority=auth.authority.rstrip("/")),
        more_users=tuple(
            replace(user, client_secret=_resolved_secret(user.client_secret, folder)) for user in connection.more_users
        ),
        ca_file=connection.ca_file and _path(connection.ca_file, folder),
    )


def _resolved_webhooks(webhooks: Webhooks, folder: Path) -> Webhooks:
    secret = _resolved_secret(webhooks.secret, folder)
    return msgspec.structs.replace(webhooks, url=webhooks.url.rstrip("/"), secret=secret)


def _resolved_alerts(alerts: Alerts, folder: Path) -> Alerts:
    if not (alerts.mail and alerts.mail.password):
        return alerts
    password = _resolved_secret(alerts.mail.password, folder)
    return msgspec.structs.replace(alerts, mail=msgspec.structs.replace(alerts.mail, password=password))


def _resolved_secret(secret: Secret, folder: Path) -> Secret:
    return msgspec.structs.replace(secret, file=secret.file and _path(secret.file, folder))


def _path(path: Path, folder: Path) -> Path:
    return folder / path.expanduser()


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"the secret cannot be read: {reason}", place=str(path)) from None


if __name__ == "__main__":
    print(json.dumps(config_schema(), indent=2))
