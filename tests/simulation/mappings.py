"""Mapping files made up from a seed: which fields, which way, in which groups, under which policies."""

from __future__ import annotations

from random import Random
from typing import Any

import yaml

Field = dict[str, Any]

NAME: Field = {"business_central": "displayName", "dataverse": "name"}
PLAIN: tuple[tuple[str, str], ...] = (
    ("phoneNumber", "telephone1"),
    ("website", "websiteurl"),
    ("email", "emailaddress1"),
    ("faxNo", "fax"),
    ("mobilePhoneNo", "telephone2"),
    ("state", "address1_stateorprovince"),
    ("addressLine1", "address1_line1"),
    ("addressLine2", "address1_line2"),
    ("postalCode", "address1_postalcode"),
    ("city", "address1_city"),
)
CODES = frozenset({"postalCode"})
SPELLED_OTHERWISE = frozenset({"website", "city", "addressLine2"})
STEPS = {
    "to_dataverse": [{"do": "replace", "find": "v", "by": "q"}],
    "from_dataverse": [{"do": "replace", "find": "q", "by": "v"}],
}
"""What Business Central spells with v, Dataverse spells with q; people type v on either side."""
ADDRESS = ("addressLine1", "addressLine2", "postalCode", "city", "state")
POLICIES = ("ask", "business_central", "dataverse", "newest")


def mapping_files(dice: Random) -> dict[str, str]:
    """The files of a folder of mappings, by name."""
    return {"customer.yaml": yaml.safe_dump(_customer(dice), sort_keys=False, default_flow_style=None, width=200)}


def _customer(dice: Random) -> dict[str, Any]:
    fields = _plain_fields(dice)
    one_way = any(field["direction"] != "both" for field in fields)
    return {
        "mapping": "CUSTOMER",
        "overrides": "standard",
        "business_central": {"table": "customers", "key": "number", "filter": "blocked eq '_x0020_'"},
        "dataverse": {
            "table": "account",
            "key": "name",
            "filter": "statecode eq 0 and customertypecode eq 3",
            "create": {"customertypecode": 3},
        },
        "direction": "both",
        "only_coupled": dice.random() < 0.3,
        "conflicts": dice.choice(POLICIES),
        "deletions": dice.choice(("none", "restore", "uncouple")),
        "drift": dice.choice(("keep", "overwrite")) if one_way else "keep",
        "initial": dice.choice(("business_central", "dataverse")),
        "ignore_integration_user": dice.random() < 0.7,
        **_match(dice),
        "fields": [NAME, *fields],
    }


def _match(dice: Random) -> dict[str, Any]:
    if dice.random() < 0.5:
        return {}
    return {"match": [[{"business_central": "displayName", "dataverse": "name"}]]}


def _plain_fields(dice: Random) -> list[Field]:
    """Some of the plain fields; those of the address in one group, at times."""
    grouped = dice.random() < 0.5
    way = _direction(dice)
    fields = []
    for business_central, dataverse in sorted(dice.sample(PLAIN, dice.randint(2, len(PLAIN)))):
        field: Field = {"business_central": business_central, "dataverse": dataverse}
        in_group = grouped and business_central in ADDRESS
        if in_group:
            field["group"] = "address"
        field["direction"] = way if in_group else _direction(dice)
        if business_central in CODES:
            field["code"] = True
        if not in_group and field["direction"] == "both" and dice.random() < 0.3:
            field["policy"] = dice.choice(POLICIES)
        if dice.random() < 0.15:
            field["keep_blank"] = True
        if business_central in SPELLED_OTHERWISE and dice.random() < 0.4:
            field |= {way: steps for way, steps in STEPS.items() if field["direction"] in (way, "both")}
        fields.append(field)
    return fields


def _direction(dice: Random) -> str:
    return dice.choice(("both", "both", "both", "to_dataverse", "from_dataverse"))
