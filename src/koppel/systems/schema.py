"""What a system says of its tables: the columns, their kinds and lengths, and what may be written when."""

from __future__ import annotations

from typing import Literal

import msgspec

ColumnKind = Literal[
    "text", "integer", "decimal", "money", "boolean", "date", "datetime", "guid", "lookup", "choice", "enum", "stream"
]


class Column(msgspec.Struct, frozen=True):
    """One column under the name that mappings use.

    A Dataverse lookup is named by its navigation property (``primarycontactid``, ``parentcustomerid_account``): that
    is what is written; ``read_name`` is what is read (``_primarycontactid_value``), and ``targets`` are the entity
    sets it may point to. Everywhere else ``read_name`` equals ``name``. ``options`` maps a choice's integer to its
    label, or an enum's member name to itself. ``scale`` is the number of decimals of a decimal or money column, if
    known.
    """

    name: str
    kind: ColumnKind
    read_name: str
    max_length: int | None = None
    scale: int | None = None
    creatable: bool = True
    updatable: bool = True
    required: bool = False
    targets: tuple[str, ...] = ()
    options: dict[int | str, str] = {}


class TableSchema(msgspec.Struct, frozen=True):
    """One table: its name in mappings (Dataverse: logical name, Business Central: entity set), its entity set, its
    key.

    ``modified_at``/``modified_by`` are the read names of the columns that tell when and by whom a row was changed
    (empty: the table does not tell). ``tracks_changes``: it can be read by cursor with deletions. ``takes_ids``: a
    create may carry its own id. ``bulk``: the bulk actions it has (``CreateMultiple`` ...).
    """

    name: str
    set_name: str
    id_column: str
    columns: dict[str, Column]
    modified_at: str = ""
    modified_by: str = ""
    tracks_changes: bool = False
    takes_ids: bool = False
    bulk: frozenset[str] = frozenset()
