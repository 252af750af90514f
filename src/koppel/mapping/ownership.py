"""Who owns rows of Dataverse, for all mappings at once: the users of salespeople, or a team (GEN-02, GEN-04)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from koppel.mapping.load import digest
from koppel.mapping.model import TableMapping
from koppel.odata.records import Scalar

OWNER = "ownerid"
SALESPEOPLE = "SALESPEOPLE"
OWNED_BY_TEAM = frozenset({"account", "contact", "opportunity", "salesorder", "invoice"})
OWNED_FOR_WANT = frozenset({"account", "contact", "salesorder"})
"""What belongs to the team where no salesperson is named; other rows then belong to whom Dataverse says (GEN-03)."""
_TEAM_REFUSES = {"opportunity": ("opportunity.of_customer",)}
"""By table, what is left out where teams own rows (OPP-05)."""


def without_owners(mappings: Mapping[str, TableMapping]) -> dict[str, TableMapping]:
    """The mappings as teams own what they write: no field says who owns a row, and salespeople are no users any more
    (GEN-02, SP-08, OPP-05)."""
    return {name: _without_owner(mapping) for name, mapping in mappings.items()}


def _without_owner(mapping: TableMapping) -> TableMapping:
    if mapping.name == SALESPEOPLE:
        return msgspec.structs.replace(mapping, enabled=False)
    refuse = (*mapping.rules.refuse, *_TEAM_REFUSES.get(mapping.dataverse.table, ()))
    changed = msgspec.structs.replace(
        mapping,
        rules=msgspec.structs.replace(mapping.rules, refuse=refuse),
        fields=tuple(field for field in mapping.fields if field.dataverse != OWNER),
        depends_on=tuple(name for name in mapping.depends_on if name != SALESPEOPLE),
    )
    return msgspec.structs.replace(changed, digest=digest(changed))


def owners_of(mapping: TableMapping) -> list[str]:
    """The owners that the mapping names for new rows."""
    end = mapping.dataverse
    return [str(values[OWNER]) for values in (end.create, *(t.values for t in end.templates)) if values.get(OWNER)]


def with_owner(mapping: TableMapping, owner: str) -> TableMapping:
    """The mapping, whose new rows belong to ``owner`` unless it says otherwise."""
    return _with_create(mapping, {OWNER: owner, **mapping.dataverse.create})


def without_owner(mapping: TableMapping, owner: str) -> TableMapping:
    """The mapping, where it does not name this owner any more."""
    templates = tuple(
        msgspec.structs.replace(template, values=_without(template.values, owner))
        for template in mapping.dataverse.templates
    )
    left = _with_create(mapping, _without(mapping.dataverse.create, owner))
    return msgspec.structs.replace(left, dataverse=msgspec.structs.replace(left.dataverse, templates=templates))


def _without(values: Mapping[str, Scalar], owner: str) -> dict[str, Scalar]:
    return {name: value for name, value in values.items() if (name, value) != (OWNER, owner)}


def _with_create(mapping: TableMapping, create: dict[str, Scalar]) -> TableMapping:
    return msgspec.structs.replace(mapping, dataverse=msgspec.structs.replace(mapping.dataverse, create=create))
