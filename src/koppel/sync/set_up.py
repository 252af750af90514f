"""What ``koppel.yaml`` says about all mappings, and both systems have to be asked for: whose rows are whose."""

from __future__ import annotations

from collections.abc import Mapping

from koppel.config import Ownership
from koppel.errors import ConfigError, NotFoundError
from koppel.mapping.company import COMPANIES, STAMP, Stamping, with_company
from koppel.mapping.model import TableMapping
from koppel.odata.records import Side
from koppel.sync.owners import Owned, with_owners
from koppel.systems.system import System


async def as_set_up(
    systems: Mapping[Side, System],
    mappings: Mapping[str, TableMapping],
    stamping: Stamping = "none",
    ownership: Ownership | None = None,
) -> Owned:
    """The mappings as the configuration wants them. ``ConfigError`` where Dataverse lacks what that needs."""
    if stamping != "none":
        mappings = with_company(mappings, await _company_row(systems), stamping)
    return await with_owners(systems, mappings, ownership)


async def _company_row(systems: Mapping[Side, System]) -> str:
    """The id of the row that stands for the company: one that is there for it, or the company's own."""
    company = await systems["business_central"].environment()
    try:
        rows = await systems["dataverse"].by_keys(COMPANIES, (STAMP,), "bcbi_externalid", [company])
    except NotFoundError as error:
        raise ConfigError(
            f"Dataverse has no table {COMPANIES}, which companies are told apart by",
            place="company_stamp",
            remedy="Install Business Central's integration solution there, or leave `company_stamp` out.",
        ) from error
    return rows[0].id if rows else company
