"""Who may do what: every user may do everything but what was taken away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from koppel.odata.literals import is_guid
from koppel.sandbox.dataverse.errors import ServiceError, missing_privilege

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse

Verb = Literal["Create", "Read", "Write", "Delete"]

_ACT_ON_BEHALF = "prvActOnBehalfOfAnotherUser"


def require(dataverse: Dataverse, caller: Caller, verb: Verb, table: str) -> None:
    """403 unless the caller, and whoever really calls, may."""
    if not dataverse.missing_privileges:
        return
    privilege = f"prv{verb}{dataverse.schema.tables[table].schema_name}"
    for user in filter(None, (caller.user, caller.real)):
        if privilege in dataverse.missing_privileges.get(user, ()):
            raise missing_privilege(user, privilege, table)


def admit(dataverse: Dataverse, user: str) -> None:
    """403 for a token whose user is not, or no longer, one of the organisation."""
    row = dataverse.row("systemuser", user)
    if row is None:
        raise ServiceError(403, "0x80072560", "The user is not a member of the organization.")
    if row.get("isdisabled"):
        raise ServiceError(403, "0x80040225", f"The specified user (Id = {user}) is disabled.")


def impersonate(dataverse: Dataverse, user: str, headers: Mapping[str, str]) -> tuple[str, str]:
    """Whose rights count, and who really calls (empty when the same): ``CallerObjectId`` before ``MSCRMCallerID``."""
    entra, system = headers.get("callerobjectid"), headers.get("mscrmcallerid")
    if not entra and not system:
        return user, ""
    if _ACT_ON_BEHALF in dataverse.missing_privileges.get(user, ()):
        raise missing_privilege(user, _ACT_ON_BEHALF, "systemuser")
    acting = _by_entra_id(dataverse, entra) if entra else _by_id(dataverse, system or "")
    if acting is None:
        raise ServiceError(403, "0x80048306", f"The user with id {entra or system} to act for does not exist.")
    return acting, user


def _by_id(dataverse: Dataverse, user: str) -> str | None:
    return user.lower() if is_guid(user) and user.lower() in dataverse.tables["systemuser"].rows else None


def _by_entra_id(dataverse: Dataverse, entra: str) -> str | None:
    found = dataverse.store.index("systemuser", "azureactivedirectoryobjectid").find([entra])
    return found[0] if found else None
