"""The records of Adventure Works, as the files in ``data/adventureworks`` hold them, and more of the same on demand."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import chain, count, islice

import msgspec

Line = dict[str, str]


@cache
def lines(name: str) -> tuple[Line, ...]:
    """The lines of one file (``company_customers.csv``), by column name. Shared: not to be changed."""
    return tuple(line_stream(name))


def line_stream(name: str) -> Iterator[Line]:
    """The same lines, one after another, for files of which few lines may be wanted."""
    packed = (files("koppel.sandbox") / "data" / "adventureworks" / name).read_bytes()
    binary = gzip.GzipFile(fileobj=io.BytesIO(packed)) if name.endswith(".gz") else io.BytesIO(packed)
    return csv.DictReader(io.TextIOWrapper(binary, encoding="utf-8", newline=""))


@cache
def contacts_by_company() -> dict[str, list[Line]]:
    """The people at each store, by the store's number, in the order of the file."""
    found: dict[str, list[Line]] = {}
    for line in lines("store_contacts.csv"):
        found.setdefault(line["company_number"], []).append(line)
    return found


def salespeople_by_code() -> dict[str, Line]:
    """The salespeople."""
    return {line["code"]: line for line in lines("salespeople.csv")}


class Customer(msgspec.Struct, frozen=True, gc=False):
    """One customer: a line of the files, in its ``round``-th repetition (0: the original)."""

    line: Line
    round: int

    @property
    def number(self) -> str:
        """``AW00000001``; ``AW00000001-2`` in the first repetition."""
        return repeated(self.line["number"], "-", self.round)

    @property
    def name(self) -> str:
        """A store's name; a person's first and last name."""
        line = self.line
        name = line["name"] if self.is_company else f"{line['first_name']} {line['last_name']}"
        return repeated(name, " ", self.round)

    @property
    def email(self) -> str:
        """A person's address; stores have none."""
        local, at, domain = self.line.get("email", "").partition("@")
        return repeated(local, ".", self.round) + at + domain if at else ""

    @property
    def is_company(self) -> bool:
        """Whether it is a store."""
        return "name" in self.line


def customers(number: int | None = None) -> Iterator[Customer]:
    """``number`` customers: the stores, the persons, then both again under other names. None: each once."""
    originals = (*lines("company_customers.csv"), *lines("person_customers.csv.gz"))
    rounds = chain.from_iterable((Customer(line, again) for line in originals) for again in count())
    return islice(rounds, len(originals) if number is None else number)


def repeated(text: str, separator: str, again: int) -> str:
    """``text`` as it is called in its ``again``-th repetition."""
    return f"{text}{separator}{again + 1}" if again else text


def record_id(table: str, key: str) -> str:
    """The GUID of a record of the sandbox: always the same for the same table and key."""
    digest = hashlib.md5(f"{table}/{key}".encode(), usedforsecurity=False).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:]}"
