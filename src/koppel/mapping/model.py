"""What to synchronise, as data: table mappings and their field mappings, as a mapping file says them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from koppel.mapping.steps import Step
from koppel.odata.records import Scalar, Side

Direction = Literal["both", "to_dataverse", "from_dataverse"]
Policy = Literal["ask", "business_central", "dataverse", "newest"]
DeletionPolicy = Literal["none", "restore", "uncouple", "leave", "delete", "delete_edited"]
Drift = Literal["keep", "overwrite"]
Normaliser = Literal["accents", "punctuation", "company", "digits"]
LeftFilter = Literal["keep", "wait", "carry", "uncouple", "deactivate"]

QUEUE = "default"
"""Where mappings wait for a worker that say nothing else."""
BLANK_KEY = ""
NONE = "none"
"""Instead of a filter for new records: none ever gets a partner by itself."""


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """``values`` for records that Koppel creates, by column, where ``filter`` (OData) lets the *source* record through.

    Of several the one with the smallest ``priority`` counts. Mapped values go before, unless ``overwrite``. ``line``:
    where the file says it.
    """

    values: dict[str, Scalar]
    filter: str = ""
    priority: int = 0
    overwrite: bool = False
    line: int = 0


def templates_in_order(templates: Sequence[Template]) -> list[Template]:
    """Templates as they are tried."""
    return sorted(templates, key=lambda template: template.priority)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Brakes of one mapping; what is not said here, the configuration says."""

    deletions: int | None = None
    changes_percent: int | None = None


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """When a mapping runs by itself (ENG-237): ``every`` so many minutes, or as a cron expression says (UTC).

    After a run without changes it is on hold for ``inactivity`` minutes, or until a change wakes it; 0: it goes on as
    ever. ``hold``: only once somebody resumes it. ``queue``: in which queue it waits for a worker.
    """

    every: int | str = 30
    inactivity: int = 720
    hold: bool = False
    queue: str = QUEUE


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of another table of the same side whose change is a change of the record they belong to.

    ``column`` of a row holds what ``key`` of the record does (empty: the table's ``key``). Without ``column`` a changed
    row is a change of every record. ``line``: where the file says it.
    """

    table: str
    column: str = ""
    key: str = ""
    line: int = 0


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a table mapping.

    ``table``: entity set (Business Central) or logical name (Dataverse). ``key``: the column that names a record to
    people and by which references find it (a code, a number); ``filter``: OData, which records take part; ``new``:
    which of those that nobody coupled yet, or ``none``; ``create``:
    constants for records that Koppel creates here; ``templates``: values that depend on the source record;
    ``known_by``: the column that tells a record which Koppel created here, where the system chooses the ids;
    ``deactivate``: values for a record whose partner left its filter (``left_filter``); ``reopen``: values that open a
    closed record, which takes no edits, before it is changed: it is closed again with the change; ``watch``: what else
    its changes are told by; ``order``: the column by whose values parts are sent (``part_of``), lines in their order.
    On option mappings only: ``column``, the choice column whose options are coupled, which is
    the ``key`` there; ``also``, the choice columns of other tables that know the same options
    (``salesorder.paymenttermscode``).
    """

    table: str
    key: str = ""
    filter: str = ""
    new: str = ""
    create: dict[str, Scalar] = {}
    templates: tuple[Template, ...] = ()
    known_by: str = ""
    order: str = ""
    deactivate: dict[str, Scalar] = {}
    reopen: dict[str, Scalar] = {}
    watch: tuple[Watch, ...] = ()
    column: str = ""
    also: tuple[str, ...] = ()


class Lookup(msgspec.Struct, frozen=True, kw_only=True):
    """The field refers to a record of another mapping, found through its couplings.

    ``mapping``: the name of that mapping. ``by``: what the Business Central column holds, the record's ``key`` (a
    code), its ``id``, or a rule function (``module.function``) that knows which value stands for which record.
    ``required``: a reference that is not coupled holds the whole record, always or in one direction only; otherwise
    the field waits (``pending``), emptied meanwhile if ``clear`` says so.
    """

    mapping: str
    by: str = "key"
    required: bool | Direction = False
    clear: bool = False

    def required_towards(self, side: Side) -> bool:
        """Whether a missing reference holds a record that goes to ``side``."""
        return self.required in (True, "both", "to_dataverse" if side == "dataverse" else "from_dataverse")


class FieldMapping(msgspec.Struct, frozen=True, kw_only=True):
    """One pair of fields.

    ``business_central`` or ``dataverse`` is empty where the value is a constant or computed by a rule. ``constant``:
    written to the destination instead of a value read; with both columns named, only where the source is blank.
    ``to_dataverse``, ``from_dataverse``: the steps that a value goes through on its way. ``lossy``: they may lose
    something on a two-way field. ``required``: a blank that would have to be written holds the record. ``compute``:
    the rule function that supplies the source's value (``module.function``). ``code``: a Business Central Code field
    (trimmed, upper-cased). ``options``: the option mapping that translates a code into the integer of a choice;
    ``on_missing``: what an uncoupled code does. ``on_locked``: what a change does that comes to a column which takes
    values only in a creation. ``keep_blank``: a blank never overwrites. ``last``: written once all
    parts of the record are there (``part_of``): totals, and the state that closes it. ``group``: fields of one
    group merge as one value. ``resend``: it goes to Business Central with any other field of its group, since it would
    be found anew there. ``policy``, ``drift``: override the mapping's ``conflicts`` and
    ``drift``. ``line``: where the file says it.
    ``called``: its name where an earlier field has the same column of Business Central.
    """

    business_central: str = ""
    dataverse: str = ""
    direction: Direction = "both"
    enabled: bool = True
    constant: Scalar = None
    compute: str = ""
    code: bool = False
    lookup: Lookup | None = None
    options: str = ""
    on_missing: Literal["empty", "fail"] = "empty"
    on_locked: Literal["keep", "fail"] = "keep"
    keep_blank: bool = False
    last: bool = False
    resend: bool = False
    required: bool = False
    to_dataverse: tuple[Step, ...] = ()
    from_dataverse: tuple[Step, ...] = ()
    lossy: bool = False
    group: str = ""
    policy: Policy | None = None
    drift: Drift | None = None
    line: int = 0
    called: str = ""

    @property
    def name(self) -> str:
        """The field as messages call it, unique in its mapping: the Business Central name where there is one."""
        return self.called or self.business_central or self.dataverse

    @property
    def fixed(self) -> bool:
        """Whether the value is a constant, whatever the other side holds."""
        return self.constant is not None and not (self.business_central and self.dataverse)

    @property
    def dictated(self) -> bool:
        """Whether nobody edits the value at its source: it is a constant, or a rule computes it from no column."""
        return self.fixed or bool(self.compute and not (self.business_central and self.dataverse))

    def computed_on(self, side: Side) -> bool:
        """Whether a rule supplies the value of ``side``."""
        towards: Direction = "to_dataverse" if side == "business_central" else "from_dataverse"
        return bool(self.compute) and self.direction == towards

    def steps(self, source: Side) -> tuple[Step, ...]:
        """The steps that are written down for values of ``source``."""
        return self.to_dataverse if source == "business_central" else self.from_dataverse


class MatchPair(msgspec.Struct, frozen=True):
    """Two columns that must hold the same text for two records to be the same one; blanks around it do not count.

    One side may be empty: a field mapping onto the other column then computes the value to compare with. ``case``:
    capitals count. ``normalise``: what else does not count.
    """

    business_central: str = ""
    dataverse: str = ""
    case: bool = False
    normalise: tuple[Normaliser, ...] = ()


class Hooks(msgspec.Struct, frozen=True):
    """Rule functions of a mapping, by name (``module.function``), beside the ``compute`` of its fields.

    ``refuse``: records that must not synchronise, with a reason. ``complete``: the missing parts of a creation.
    ``succeed``: which coupled record a new one takes the place of. ``precede``, ``follow``: writes to any table that
    come before and after a record's own. ``gone``: writes that come before a record is uncoupled whose partner was
    deleted. ``uncouple``: those that come before any is uncoupled.
    """

    refuse: tuple[str, ...] = ()
    complete: tuple[str, ...] = ()
    succeed: tuple[str, ...] = ()
    precede: tuple[str, ...] = ()
    follow: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    uncouple: tuple[str, ...] = ()


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """What takes the place of a mapping's own: ``rules`` that of those of their kind, ``fields`` that of those with the
    same column of Dataverse."""

    rules: Hooks = Hooks()
    fields: tuple[FieldMapping, ...] = ()


class TableMapping(msgspec.Struct, frozen=True, kw_only=True):
    """A named pairing of one table of each side. ``kind`` ``options`` pairs codes with the options of a choice column.

    ``caption``: the name for people. ``enabled``: off, it is left out of every run. ``instead_of``: the mapping whose
    place this one takes: one of the two is on. ``fixed_filters``: a file that overrides this one keeps its filters. A
    field's ``direction`` never exceeds the mapping's. ``goes_with``: the mapping after which this one runs, too,
    whenever that is run by itself. ``part_of``: the mapping whose records these are parts of, lines of a document:
    they are sent when their whole was created, or whenever it is looked at if they go both ways, and never on their
    own.
    ``coupled_in``: the mapping in which a record of Business Central has to be coupled to take part here; when it is
    uncoupled there, its partner here is deleted.
    ``brings``: mappings that synchronise in the same run what a record here refers to and is not coupled (GEN-13).
    ``match``: groups of column pairs, tried in order, each a real alternative. ``initial``: the side that wins where a
    coupling is new and values differ. ``create_unmatched``: a full synchronisation creates what no record matches.
    ``schedule``: when it runs by itself; ``wake_on_events``: also when a system tells of a change.
    ``when_on``: what is different while another mapping, by its name, is on; loading puts it in place.
    ``file`` and ``digest`` tell where it was loaded from and which version of it (a change leads to a full compare),
    ``functions`` the folder of its Python functions.
    """

    name: str
    caption: str = ""
    enabled: bool = True
    instead_of: str = ""
    fixed_filters: bool = False
    kind: Literal["records", "options"] = "records"
    business_central: Endpoint
    dataverse: Endpoint
    direction: Direction = "both"
    only_coupled: bool = True
    depends_on: tuple[str, ...] = ()
    part_of: str = ""
    goes_with: str = ""
    coupled_in: str = ""
    brings: tuple[str, ...] = ()
    conflicts: Policy = "ask"
    deletions: DeletionPolicy = "none"
    left_filter: LeftFilter = "keep"
    drift: Drift = "keep"
    initial: Side = "business_central"
    match: tuple[tuple[MatchPair, ...], ...] = ()
    create_unmatched: bool = True
    ignore_integration_user: bool = True
    parameters: dict[str, Scalar] = {}
    rules: Hooks = Hooks()
    brakes: Limits = Limits()
    schedule: Schedule = Schedule()
    wake_on_events: bool = True
    fields: tuple[FieldMapping, ...] = ()
    when_on: dict[str, Variant] = {}
    file: str = ""
    functions: str = ""
    digest: str = ""

    def endpoint(self, side: Side) -> Endpoint:
        """The mapping's end on ``side``."""
        return self.business_central if side == "business_central" else self.dataverse

    @property
    def whole(self) -> FieldMapping:
        """The field that says which whole a part belongs to (``part_of``)."""
        return next(field for field in self.fields if field.lookup and field.lookup.mapping == self.part_of)

    def writes_to(self, side: Side) -> bool:
        """Whether the direction allows writing to ``side``."""
        blocked: Direction = "to_dataverse" if side == "business_central" else "from_dataverse"
        return self.direction != blocked
