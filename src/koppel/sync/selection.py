"""Records that somebody chose: by an OData filter, or listed in a file."""

from __future__ import annotations

from collections.abc import Sequence

from koppel.errors import UsageError
from koppel.odata.records import Side
from koppel.odata.syntax import parse_filter
from koppel.sync.session import Session, ready_mapping


async def choose(
    session: Session, names: Sequence[str], records: Sequence[str] | None, where: str, side: Side
) -> tuple[str, ...] | None:
    """The records that are meant, of the one mapping in ``names``; ``None`` when neither names nor filter choose any.

    ``UsageError`` when several mappings are named, or records are chosen in both ways.
    """
    if records is None and not where:
        return None
    if len(names) != 1:
        raise UsageError("records belong to one mapping", remedy="Name the mapping, and only that one.")
    if records is not None and where:
        raise UsageError("records are chosen by name or by a filter, not both", place=names[0])
    return tuple(records) if records is not None else await records_where(session, names[0], where, side)


async def records_where(session: Session, mapping: str, where: str, side: Side) -> tuple[str, ...]:
    """The ids of the mapping's records on ``side`` that fit an OData filter; none when none does.

    ``FilterError`` when it cannot be read, ``UsageError`` for a mapping of options.
    """
    ready = await ready_mapping(session, mapping)
    if ready.mapping.kind == "options":
        raise UsageError("options are chosen by their codes", place=mapping, remedy="Name the codes.")
    parse_filter(where)
    end = ready.end(side)
    both = f"({end.filter}) and ({where})" if end.filter else where
    pages = session.systems[side].query(end.schema.name, (end.columns[end.key],), filter=both)
    return tuple([record.id async for page in pages for record in page.records])


def listed(text: str) -> tuple[str, ...]:
    """The records that a file lists, one a line; blank lines and what follows ``#`` do not count."""
    names = (line.partition("#")[0].strip() for line in text.splitlines())
    return tuple(dict.fromkeys(name for name in names if name))
