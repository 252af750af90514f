"""Every error that Koppel raises on purpose.

::

    KoppelError
    ├── ConfigError          koppel.yaml, an environment variable
    │   └── MappingError     a mapping file
    ├── UsageError           a command's words
    ├── FilterError          an OData filter that cannot be parsed or evaluated
    ├── StoreError           the database
    ├── LockedError          another job holds the mapping
    ├── StoppedError         the worker was told to stop: what was done is recorded, the rest is for another one
    ├── BrakeError           a job that would change or delete more than allowed
    └── RemoteError          one of the two systems said no, or nothing
        ├── TransientError        worth another try: throttled, unavailable, no answer
        │   └── OutcomeUnknownError   a write was sent and no answer came: it may have happened
        ├── AuthenticationError   wrong or missing credentials
        ├── PrivilegeError        known, but not allowed
        ├── NotFoundError         no such record, table or address
        ├── VersionError          the record changed since it was read (If-Match refused)
        ├── ExistsError           a record with this id or key is there already
        ├── DataError             a value, column or state that the system refuses
        └── CursorError           a change-tracking cursor that is no longer valid

``kind`` sorts a failure of one record into the six kinds of promise 4: ``transient``, ``data``, ``permission``,
``conflict``, ``dependency`` and ``bug``.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Kind = Literal["transient", "data", "permission", "conflict", "dependency", "bug"]


class KoppelError(Exception):
    """Root of the tree: what happened, where (a file and line, a mapping, an address) and what to do about it."""

    kind: ClassVar[Kind] = "bug"

    def __init__(self, message: str, *, place: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.remedy = remedy

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        what = f"\n  {self.remedy}" if self.remedy else ""
        return f"{where}{self.message}{what}"


class ConfigError(KoppelError):
    """``koppel.yaml`` or the environment does not hold what is needed."""


class MappingError(ConfigError):
    """A mapping file is wrong; ``place`` is ``file:line``."""


class UsageError(KoppelError):
    """A command was called with words that do not fit."""


class FilterError(KoppelError):
    """An OData filter cannot be parsed or evaluated; ``position`` is the offset in the text, -1 when unknown."""

    def __init__(self, message: str, *, position: int = -1, place: str = "", remedy: str = "") -> None:
        super().__init__(message, place=place, remedy=remedy)
        self.position = position


class StoreError(KoppelError):
    """The database cannot be started, reached or used."""


class LockedError(KoppelError):
    """Another job is synchronising the mapping."""


class StoppedError(KoppelError):
    """A run ended between two chunks, as its worker was told to stop. Another one goes on from there."""


class BrakeError(KoppelError):
    """The job would delete or change more than its brakes allow; nothing was written."""


class RemoteError(KoppelError):
    """A system refused a request. ``status`` is the HTTP status (0: none), ``code`` the system's own error code.

    ``field`` and ``value`` name the culprit where the system's answer tells it. ``doubtful``: an earlier try of the
    same write was not answered, and may be what this one was refused for.
    """

    kind: ClassVar[Kind] = "data"

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        code: str = "",
        field: str = "",
        value: str = "",
        place: str = "",
        remedy: str = "",
    ) -> None:
        super().__init__(message, place=place, remedy=remedy)
        self.status = status
        self.code = code
        self.field = field
        self.value = value
        self.doubtful = False


class TransientError(RemoteError):
    """Another try may succeed; ``retry_after`` in seconds when the system said so."""

    kind: ClassVar[Kind] = "transient"

    def __init__(self, message: str, *, retry_after: float | None = None, status: int = 0, code: str = "") -> None:
        super().__init__(message, status=status, code=code)
        self.retry_after = retry_after


class OutcomeUnknownError(TransientError):
    """A write was sent and no answer came: whether it happened has to be found out by reading."""


class AuthenticationError(RemoteError):
    """The credentials are wrong, missing or expired."""

    kind: ClassVar[Kind] = "permission"


class PrivilegeError(RemoteError):
    """The user is known and lacks a privilege."""

    kind: ClassVar[Kind] = "permission"


class NotFoundError(RemoteError):
    """No such record, table or address."""


class VersionError(RemoteError):
    """The record changed since its version was read."""

    kind: ClassVar[Kind] = "conflict"


class ExistsError(RemoteError):
    """A record with this id or key exists already."""


class DataError(RemoteError):
    """A value, column or state that the system refuses."""


class CursorError(RemoteError):
    """A change-tracking cursor expired or is not understood: read everything again."""

    kind: ClassVar[Kind] = "transient"
