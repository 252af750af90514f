"""Mapping files made up from a seed: which tables, which fields, which way, in which groups, under which policies.

CUSTOMER always plays; others join it that refer to it, to which it refers, and to each other: by key, by id, by a rule,
as options, in a circle, to their own table.
"""

from __future__ import annotations

from collections.abc import Set
from random import Random
from typing import Any

import yaml

from koppel.mapping.model import Direction

Field = dict[str, Any]
File = dict[str, Any]

ORDER = ("SALESPEOPLE", "PAYMENT TERMS", "CUSTOMER", "CONTACT", "SITE", "MACHINE")
"""Every mapping there may be, in the order in which they run."""
COMPANIONS = ("PAYMENT TERMS", "SALESPEOPLE", "CONTACT", "MACHINE")
WITHOUT_COMPANION_ROUTE = frozenset({"CONTACT"})

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
PLAIN_OF_PERSONS: tuple[tuple[str, str], ...] = (
    ("firstName", "firstname"),
    ("email", "emailaddress1"),
    ("phoneNumber", "telephone1"),
    ("pager", "pager"),
)
CODES = frozenset({"postalCode"})
SPELLED_OTHERWISE = frozenset({"website", "city", "addressLine2"})
STEPS = {
    "to_dataverse": [{"do": "replace", "find": "v", "by": "q"}],
    "from_dataverse": [{"do": "replace", "find": "q", "by": "v"}],
}
"""What Business Central spells with v, Dataverse spells with q; people type v on either side."""
ADDRESS = ("addressLine1", "addressLine2", "postalCode", "city", "state")
POLICIES = ("ask", "ask", "business_central", "dataverse", "newest")
ACTIVE = "statecode eq 0"
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def cast_of(dice: Random, route: str) -> set[str]:
    """The mappings that play."""
    cast = set(dice.sample(COMPANIONS, dice.choice((0, 0, 1, 1, 2, 3)))) | {"CUSTOMER"}
    if "MACHINE" in cast and dice.random() < 0.5:
        cast.add("SITE")
    return cast - WITHOUT_COMPANION_ROUTE if route == "v2.0" else cast


def mapping_files(dice: Random, cast: Set[str]) -> dict[str, str]:
    """The text of each mapping's file, by name, in the order in which they run."""
    files = {name: _FILES[name](dice, cast) for name in ORDER if name in cast}
    return {name: yaml.dump(file, Dumper=_DUMPER, sort_keys=False, width=200) for name, file in files.items()}


def _customer(dice: Random, cast: Set[str]) -> File:
    fields = _plain_fields(dice, PLAIN)
    if "SALESPEOPLE" in cast:
        fields.append(_owner(dice))
    if "PAYMENT TERMS" in cast:
        fields.append(_terms(dice))
    if "CONTACT" in cast and dice.random() < 0.7:
        fields.append(_reference(dice, "primaryContactNo", "primarycontactid", "CONTACT"))
    return {
        "mapping": "CUSTOMER",
        "overrides": "standard",
        "business_central": {"table": "customers", "key": "number", "filter": "blocked eq '_x0020_'"},
        "dataverse": {
            "table": "account",
            "key": "name",
            "filter": f"{ACTIVE} and customertypecode eq 3",
            "create": {"customertypecode": 3},
        },
        **_policies(dice, fields),
        **_match(dice, "displayName", "name"),
        "fields": [{"business_central": "displayName", "dataverse": "name"}, *fields],
    }


def _contact(dice: Random, cast: Set[str]) -> File:
    fields = _plain_fields(dice, PLAIN_OF_PERSONS)
    if "SALESPEOPLE" in cast and dice.random() < 0.5:
        fields.append(_owner(dice))
    company: Field = {
        "business_central": "companyNumber",
        "dataverse": "parentcustomerid_account",
        "direction": "both",
        "code": True,
        "lookup": {"mapping": "CUSTOMER", "by": "contact.company", "required": "from_dataverse"},
    }
    return {
        "mapping": "CONTACT",
        "overrides": "standard",
        "business_central": {
            "table": "contacts",
            "key": "number",
            "filter": "type eq 'Person' and companyNumber ne ''",
        },
        "dataverse": {
            "table": "contact",
            "key": "fullname",
            "filter": f"_parentcustomerid_value ne null and parentcustomerid_account/accountid ne null and {ACTIVE}",
        },
        **_policies(dice, fields),
        **_match(dice, "surname", "lastname"),
        "rules": {"refuse": ["contact.company_is_customer"]},
        "fields": [
            {"business_central": "surname", "dataverse": "lastname"},
            *fields,
            {"business_central": "type", "constant": "Person"},
            company,
        ],
    }


def _site(dice: Random, cast: Set[str]) -> File:
    fields = _plain_fields(dice, (("city", "cr_city"), ("remark", "cr_remark")))
    if dice.random() < 0.5:
        fields.append(_reference(dice, "chief", "cr_chief", "MACHINE"))
    return _own_table(dice, "SITE", "sites", "cr_site", "code", "cr_code", fields)


def _machine(dice: Random, cast: Set[str]) -> File:
    references = [
        _reference(dice, "customerNumber", "cr_owner", "CUSTOMER", required=dice.random() < 0.4),
        _reference(dice, "customerId", "cr_renter", "CUSTOMER", by="id"),
        _reference(dice, "partOf", "cr_partof", "MACHINE"),
    ]
    fields = _plain_fields(dice, (("remark", "cr_remark"),)) + dice.sample(references, dice.randint(1, 3))
    if "SITE" in cast:
        fields.append(_reference(dice, "siteCode", "cr_site", "SITE", required=dice.random() < 0.3))
    return _own_table(dice, "MACHINE", "machines", "cr_machine", "number", "cr_serial", fields)


def _own_table(dice: Random, name: str, page: str, table: str, code: str, serial: str, fields: list[Field]) -> File:
    """A mapping of custom tables: Business Central chooses the ids, and a code that people type names the record."""
    return {
        "mapping": name,
        "business_central": {"table": f"contoso/app/v1.0/{page}", "key": code, "filter": "isRetired eq false"},
        "dataverse": {"table": table, "key": serial, "filter": ACTIVE},
        **_policies(dice, fields),
        **_match(dice, code, serial),
        "fields": [
            {"business_central": code, "dataverse": serial, "code": True},
            {"business_central": "description", "dataverse": "cr_name"},
            *fields,
        ],
    }


def _salespeople(dice: Random, cast: Set[str]) -> File:
    return {
        "mapping": "SALESPEOPLE",
        "overrides": "standard",
        "business_central": {"table": "salespeoplePurchasers", "key": "code"},
        "dataverse": {
            "table": "systemuser",
            "key": "fullname",
            "filter": "isdisabled eq false and islicensed eq true and isintegrationuser eq false",
        },
        "direction": "from_dataverse",
        "only_coupled": dice.random() < 0.3,
        "deletions": dice.choice(("none", "restore", "uncouple")),
        "drift": dice.choice(("keep", "overwrite")),
        "match": [[{"business_central": "email", "dataverse": "internalemailaddress"}]],
        "rules": {"complete": ["salesperson.code"]},
        "fields": [
            {"business_central": "email", "dataverse": "internalemailaddress"},
            {"business_central": "phoneNo", "dataverse": "mobilephone"},
            {"business_central": "jobTitle", "dataverse": "jobtitle"},
        ],
    }


def _payment_terms(dice: Random, cast: Set[str]) -> File:
    return {
        "mapping": "PAYMENT TERMS",
        "overrides": "standard",
        "kind": "options",
        "business_central": {"table": "paymentTerms", "key": "code"},
        "dataverse": {"table": "account", "column": "paymenttermscode"},
        "direction": dice.choice(("to_dataverse", "to_dataverse", "from_dataverse")),
        "deletions": dice.choice(("none", "restore", "uncouple")),
        "fields": [{"business_central": "code", "dataverse": "paymenttermscode", "code": True}],
    }


_FILES = {
    "SALESPEOPLE": _salespeople,
    "PAYMENT TERMS": _payment_terms,
    "CUSTOMER": _customer,
    "CONTACT": _contact,
    "SITE": _site,
    "MACHINE": _machine,
}


def _policies(dice: Random, fields: list[Field]) -> dict[str, Any]:
    one_way = any(field["direction"] != "both" for field in fields)
    return {
        "direction": "both",
        "only_coupled": dice.random() < 0.3,
        "conflicts": dice.choice(POLICIES),
        "deletions": dice.choice(("none", "restore", "uncouple")),
        "drift": dice.choice(("keep", "overwrite")) if one_way else "keep",
        "initial": dice.choice(("business_central", "dataverse")),
        "ignore_integration_user": dice.random() < 0.7,
    }


def _match(dice: Random, business_central: str, dataverse: str) -> dict[str, Any]:
    if dice.random() < 0.5:
        return {}
    return {"match": [[{"business_central": business_central, "dataverse": dataverse}]]}


def _plain_fields(dice: Random, pairs: tuple[tuple[str, str], ...]) -> list[Field]:
    """Some of the plain fields; those of the address in one group, at times."""
    grouped = dice.random() < 0.5
    way = _direction(dice)
    fields = []
    for business_central, dataverse in sorted(dice.sample(pairs, dice.randint(min(2, len(pairs)), len(pairs)))):
        field: Field = {"business_central": business_central, "dataverse": dataverse}
        in_group = grouped and business_central in ADDRESS and pairs is PLAIN
        if in_group:
            field["group"] = "address"
        field["direction"] = way if in_group else _direction(dice)
        if business_central in CODES:
            field["code"] = True
        if not in_group:
            field |= _policy(dice, field)
        if dice.random() < 0.15:
            field["keep_blank"] = True
        if business_central in SPELLED_OTHERWISE and dice.random() < 0.4:
            field |= {way: steps for way, steps in STEPS.items() if field["direction"] in (way, "both")}
        fields.append(field)
    return fields


def _reference(
    dice: Random,
    business_central: str,
    dataverse: str,
    mapping: str,
    *,
    by: str = "key",
    required: bool = False,
) -> Field:
    way = _direction(dice)
    lookup: dict[str, Any] = {"mapping": mapping, "by": by}
    if required:
        lookup["required"] = True if way != "both" else dice.choice((True, "to_dataverse", "from_dataverse"))
    elif dice.random() < 0.3:
        lookup["clear"] = True
    field = {"business_central": business_central, "dataverse": dataverse, "direction": way, "lookup": lookup}
    return field | ({"code": True} if by != "id" else {}) | _policy(dice, field)


def _owner(dice: Random) -> Field:
    return {
        "business_central": "salespersonCode",
        "dataverse": "ownerid",
        "direction": "to_dataverse",
        "code": True,
        "keep_blank": True,
        "lookup": {"mapping": "SALESPEOPLE", "required": dice.random() < 0.5},
    }


def _terms(dice: Random) -> Field:
    field: Field = {
        "business_central": "paymentTermsCode",
        "dataverse": "paymenttermscode",
        "direction": _direction(dice),
        "code": True,
        "options": "PAYMENT TERMS",
        "on_missing": dice.choice(("empty", "empty", "fail")),
    }
    return field | _policy(dice, field)


def _policy(dice: Random, field: Field) -> dict[str, str]:
    return {"policy": dice.choice(POLICIES)} if field["direction"] == "both" and dice.random() < 0.3 else {}


def _direction(dice: Random) -> Direction:
    return dice.choice(("both", "both", "both", "to_dataverse", "from_dataverse"))
