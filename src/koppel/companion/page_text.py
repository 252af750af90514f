"""The text of a page in AL."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from koppel.companion.pages import AlPage, Column
from koppel.companion.syntax import apart, block, indented, literal, name, routine, statements, variable, words

PUBLISHER, GROUP, VERSION = "koppel", "sync", "v1.0"


def page_text(page: AlPage, others: Collection[AlPage]) -> list[str]:
    """The lines of a page; ``others``: all pages of the extension, those below it become parts."""
    body = apart([_properties(page), _layout(page, others), *_triggers(page), *_actions(page), _variables(page)])
    return block(f"page {page.id} {name(page.name)}", body)


def _properties(page: AlPage) -> list[str]:
    rights = {"InsertAllowed": page.page.insert, "ModifyAllowed": page.page.modify, "DeleteAllowed": page.page.delete}
    said = {
        "PageType": "API",
        "Caption": f"{literal(page.name)}, Locked = true",
        "APIPublisher": literal(PUBLISHER),
        "APIGroup": literal(GROUP),
        "APIVersion": literal(VERSION),
        "EntityName": literal(page.page.entity),
        "EntitySetName": literal(page.page.set_name),
        "SourceTable": name(page.source),
        "SourceTableView": page.view,
        "ODataKeyFields": "SystemId",
        "DelayedInsert": "true",
        "Extensible": "false",
        "Editable": "" if any(rights.values()) else "false",
        **{right: "" if allowed else "false" for right, allowed in rights.items()},
    }
    return [f"{word} = {value};" for word, value in said.items() if value]


def _layout(page: AlPage, others: Collection[AlPage]) -> list[str]:
    fields = [line for column in page.columns for line in _field(column)]
    parts = [line for other in others for line in _part(page, other)]
    area = block("area(Content)", block("repeater(Rows)", [*fields, *parts]))
    return block("layout", area)


def _field(column: Column) -> list[str]:
    said = [f"Caption = {literal(column.caption)}, Locked = true;"]
    said += [] if column.editable else ["Editable = false;"]
    trigger = routine("trigger OnValidate()", statements(column.write), column.local) if column.write else []
    return block(f"field({name(column.name)}; {column.shows})", apart([said, trigger]))


def _part(page: AlPage, other: AlPage) -> list[str]:
    if other.page.set_name not in page.parts:
        return []
    said = [
        f"Caption = {literal(words(other.page.set_name))}, Locked = true;",
        f"EntityName = {literal(other.page.entity)};",
        f"EntitySetName = {literal(other.page.set_name)};",
        f"SubPageLink = {page.parts[other.page.set_name]};",
    ]
    return block(f"part({other.page.set_name}; {name(other.name)})", said)


def _triggers(page: AlPage) -> Iterator[list[str]]:
    computed = [column for column in page.columns if column.type]
    if page.keeper:
        yield from _loading(page)
    if computed:
        yield routine("trigger OnAfterGetRecord()", ["ReadValues();"])
    if page.page.insert:
        cleared = [f"Clear({column.shows})" for column in computed]
        if cleared or page.new:
            yield routine("trigger OnNewRecord(BelowxRec: Boolean)", statements([*cleared, *page.new]))
        yield _insertion(page)
    if page.page.modify:
        yield from _modification(page)
    if page.keeper and page.page.delete:
        yield routine("trigger OnDeleteRecord(): Boolean", [f"{page.keeper}.Delete(Rec);", "exit(true);"])
    if computed:
        read = dict.fromkeys(text for column in computed for text in column.read)
        yield routine("local procedure ReadValues()", statements(read))


def _loading(page: AlPage) -> Iterator[list[str]]:
    load = ["if not IsLoaded then", f"    {page.keeper}.Load(Rec);", "IsLoaded := true;", "exit(Rec.Find(Which));"]
    yield routine("trigger OnFindRecord(Which: Text): Boolean", load)


def _insertion(page: AlPage) -> list[str]:
    """Inserts the row with the id that the caller chose, if it chose one."""
    insert = f"{page.keeper}.Insert(Rec)" if page.keeper else "Rec.Insert(true, true)"
    body = [*statements([*page.insert, insert]), *_saved(page)]
    return routine("trigger OnInsertRecord(BelowxRec: Boolean): Boolean", body)


def _modification(page: AlPage) -> Iterator[list[str]]:
    head, saved = "trigger OnModifyRecord(): Boolean", _saved(page)
    if page.keeper:
        yield routine(head, [f"{page.keeper}.Modify(Rec);", *saved])
    elif page.key:
        yield routine(head, [*_renaming(page), *saved], [f"Before: Record {name(page.source)};"])
    elif len(saved) > 1:
        yield routine(head, ["Rec.Modify(true);", *saved])


def _renaming(page: AlPage) -> list[str]:
    """Another key renames the row; the rest is modified."""
    fields = [name(field) for field in page.key]
    same = " and ".join(f"(Rec.{field} = Before.{field})" for field in fields)
    renamed = [
        f"Before.Rename({', '.join(f'Rec.{field}' for field in fields)});",
        "Before.TransferFields(Rec, false);",
        "Before.Modify(true);",
        "Rec := Before;",
    ]
    return [
        "Before.GetBySystemId(Rec.SystemId);",
        f"if {same} then",
        "    Rec.Modify(true)",
        "else begin",
        *indented(renamed),
        "end;",
    ]


def _saved(page: AlPage) -> list[str]:
    """What comes after a row was saved. Business Central must not save it again."""
    return [*(["ReadValues();"] if any(column.type for column in page.columns) else []), "exit(false);"]


def _actions(page: AlPage) -> Iterator[list[str]]:
    for action, statement in page.actions.items():
        head = f"procedure {name(variable(action))}(var ActionContext: WebServiceActionContext)"
        yield ["[ServiceEnabled]", *routine(head, statements([statement]))]


def _variables(page: AlPage) -> list[str]:
    declared = [f"{variable}: Codeunit {name(unit.name)};" for variable, unit in page.codeunits.items()]
    declared += [f"{column.shows}: {column.type};" for column in page.columns if column.type]
    declared += ["IsLoaded: Boolean;"] if page.keeper else []
    return ["var", *indented(declared)] if declared else []
