"""The AL of the companion: every column in use, nothing that Business Central lacks, text that the grammar reads."""

from __future__ import annotations

import re
from collections import Counter
from importlib import resources
from typing import Any

import pytest
import yaml

from al_grammar import mistakes, nodes, parsed
from koppel.catalogue.pages import COMPANIES, catalogue
from koppel.companion import extension_for, uses_of
from koppel.companion.pages import ALWAYS, ROUTE, object_range, why_not
from koppel.companion.syntax import LONGEST_NAME, literal, name, words
from koppel.companion.used import Use
from koppel.errors import MappingError
from koppel.mapping.load import load_mappings
from koppel.mapping.model import Endpoint, TableMapping
from koppel.sync.open import known_mappings

MINE = TableMapping(
    name="MINE", business_central=Endpoint(table=""), dataverse=Endpoint(table=""), file="mappings/mine.yaml"
)
TABLES = [table for table in catalogue().pages[ROUTE] if table != COMPANIES and not why_not(table)]
EVERYTHING = extension_for([Use(t, c, MINE) for t in TABLES for c in catalogue().pages[ROUTE][t].fields])
OBJECT = re.compile(r'^(\w+) (\d+) ("[^"]+"|\w+)', re.MULTILINE)


def page(table: str, *columns: str) -> str:
    """The text of a page that shows these columns."""
    extension = extension_for([Use(table, column, MINE) for column in columns])
    (found,) = (text for path, text in extension.files.items() if path.endswith(".Page.al"))
    return found


def controls(text: str) -> list[str]:
    """The names of a page's columns."""
    return [found.strip('"') for found in re.findall(r"^ {16}field\(([^;]+);", text, re.MULTILINE)]


def test_every_column_of_the_standard_mappings_is_on_its_page() -> None:
    uses = uses_of(known_mappings().values())
    extension = extension_for(uses)
    shown = {each.page.set_name: {column.name for column in each.columns} for each in extension.pages}
    assert [use for use in uses if use.column not in shown[use.table]] == []
    assert extension.left_out == ()


def test_nothing_else_is_on_a_page() -> None:
    assert controls(page("customers", "faxNo")) == ["id", "faxNo", *ALWAYS[1:]]


def test_the_same_mappings_give_the_same_text() -> None:
    assert extension_for(uses_of(load_mappings().values())) == extension_for(uses_of(load_mappings().values()))


@pytest.mark.parametrize(("path", "text"), [item for item in EVERYTHING.files.items() if item[0].endswith(".al")])
def test_the_grammar_of_al_reads_every_file(path: str, text: str) -> None:
    assert mistakes(text) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("DelayedInsert = true;", "DelayedInsert = true"),
        lambda text: text.replace("Editable = false;\n", "Editable = false;}\n", 1),
        lambda text: text.replace("Rec.Validate(", "Rec.Validate((", 1),
        lambda text: text.replace("end;", "", 1),
        lambda text: text.replace("trigger OnValidate()", "OnValidate()", 1),
    ],
)
def test_the_grammar_of_al_notices_mistakes(spoil: Any) -> None:
    text = page("customers", "currencyCode")
    assert spoil(text) != text
    assert mistakes(spoil(text)) != []


def known_fields() -> dict[str, set[str]]:
    """By table of Business Central, the fields that the data files tell of."""
    folder = resources.files("koppel.catalogue") / "data"
    standard = yaml.safe_load((folder / "business-central-api-v2.yaml").read_text("utf-8"))
    companion = yaml.safe_load((folder / "companion.yaml").read_text("utf-8"))["tables"]
    own = yaml.safe_load((resources.files("koppel.companion") / "pages.yaml").read_text("utf-8"))["tables"]
    entities = {entity["entitySet"]: entity for entity in standard["entities"]}
    found: dict[str, set[str]] = {}
    for table, facts in companion.items():
        entity = entities.get(table, {"fields": []})
        fields = [*entity["fields"], *facts.get("fields", ())]
        if like := facts.get("like"):
            fields += entities[like["set"]]["fields"] + companion.get(like["set"], {}).get("fields", [])
        more = own[table].get("columns", {}).values()
        names = {field["field"][1] for field in fields if "field" in field and field["field"][0] < 8000}
        if not own[table].get("buffered"):
            names |= {field["field"][1] for field in fields if "field" in field}
        names |= {each[key][1] for each in more for key in ("field", "flow") if key in each}
        names |= {each["blob"] for each in more if "blob" in each}
        source = own[table].get("source") or facts.get("source") or entity["sourceTable"]["name"]
        found.setdefault(source, set()).update(names)
    return found


SYSTEM = {"SystemId", "SystemCreatedAt", "SystemModifiedAt", "SystemModifiedBy", "SystemRowVersion"}
METHODS = {"CalcFields", "FieldNo", "Find", "GetBySystemId", "Insert", "Modify", "Validate"}
MORE = {
    "Customer": {
        *("GetInvoicedPrepmtAmountLCY", "GetReturnRcdNotInvAmountLCY", "GetTotalAmountLCY"),
        *("CalcOverdueBalance", "GetSalesLCY"),
    },
    "Sales Header": {"Shipping Advice"},
    "Sales Header Archive": {"Shipping Advice", "Document Type"},
    "Sales Line": {"Type"},
    "Sales Line Archive": {"Type", "Document Type"},
    "Sales Invoice Line": {"Type"},
    "Koppel Note": {"Changes"},
}
"""Fields and procedures of tables of the base application that only statements name."""


@pytest.mark.parametrize("each", EVERYTHING.pages, ids=lambda each: each.page.set_name)
def test_no_field_is_used_that_the_table_lacks(each: Any) -> None:
    text = next(text for text in EVERYTHING.files.values() if f"page {each.id} " in text)
    members = set(re.findall(r'\bRec\.("[^"]+"|\w+)', text))
    members |= set(re.findall(r'Rec\.(?:Validate|FieldNo)\(("[^"]+"|\w+)', text))
    for calculated in re.findall(r"Rec\.CalcFields\(([^)]+)\)", text):
        members |= set(calculated.split(", "))
    named = {member.strip('"') for member in members} - METHODS - SYSTEM
    assert named - known_fields()[each.source] - MORE.get(each.source, set()) == set()


def test_objects_have_numbers_of_the_range_and_short_names_of_their_own() -> None:
    found = [match.groups() for text in EVERYTHING.files.values() for match in OBJECT.finditer(text)]
    first, last = object_range()
    assert len(found) == len([path for path in EVERYTHING.files if path.endswith(".al")])
    assert [each for each in found if not first <= int(each[1]) <= last or len(each[2].strip('"')) > LONGEST_NAME] == []
    assert max(Counter((kind, number) for kind, number, _ in found).values()) == 1
    assert max(Counter((kind, title) for kind, _, title in found).values()) == 1
    fields = re.findall(r"field\((\d+); (\"[^\"]+\")", "".join(EVERYTHING.files.values()))
    added = [int(number) for number, title in fields if title.startswith('"Koppel')]
    assert added
    assert all(first <= number <= last for number in added)


def test_a_page_that_is_written_by_hand_would_look_like_this() -> None:
    text = page("currencyExchangeRates", "currencyCode", "startingDate")
    assert text.startswith(
        """\
// Written by `koppel companion`: changes are lost when it writes anew.
page 79105 "Koppel Currency Exchange Rates"
{
    PageType = API;
    Caption = 'Koppel Currency Exchange Rates', Locked = true;
    APIPublisher = 'koppel';
    APIGroup = 'sync';
    APIVersion = 'v1.0';
    EntityName = 'currencyExchangeRate';
    EntitySetName = 'currencyExchangeRates';
    SourceTable = "Currency Exchange Rate";
    ODataKeyFields = SystemId;
    DelayedInsert = true;
    Extensible = false;

    layout
    {
        area(Content)
        {
            repeater(Rows)
            {
                field(id; Rec.SystemId)
                {
                    Caption = 'Id', Locked = true;
                }
                field(currencyCode; Rec."Currency Code")
                {
                    Caption = 'Currency Code', Locked = true;
                }
"""
    )
    assert text.endswith(
        """\
    trigger OnInsertRecord(BelowxRec: Boolean): Boolean
    begin
        Rec.Insert(true, true);
        exit(false);
    end;

    trigger OnModifyRecord(): Boolean
    var
        Before: Record "Currency Exchange Rate";
    begin
        Before.GetBySystemId(Rec.SystemId);
        if (Rec."Currency Code" = Before."Currency Code") and (Rec."Starting Date" = Before."Starting Date") then
            Rec.Modify(true)
        else begin
            Before.Rename(Rec."Currency Code", Rec."Starting Date");
            Before.TransferFields(Rec, false);
            Before.Modify(true);
            Rec := Before;
        end;
        exit(false);
    end;
}
"""
    )


@pytest.mark.parametrize(
    ("table", "refused"),
    [
        ("customers", []),
        ("marketingSetup", ["InsertAllowed", "DeleteAllowed"]),
        ("postedSalesInvoices", ["Editable", "InsertAllowed", "ModifyAllowed", "DeleteAllowed"]),
    ],
)
def test_a_page_allows_what_the_schema_says(table: str, refused: list[str]) -> None:
    found = re.findall(r"^    (\w+) = false;", page(table, "number"), re.MULTILINE)
    assert found == ["Extensible", *refused]


def test_columns_are_as_editable_as_the_schema_says() -> None:
    known = catalogue().pages[ROUTE]["customers"].fields
    text = next(text for text in EVERYTHING.files.values() if "page 79111 " in text)
    shown = [(" " * 16 + str(node.text, "utf-8")) for node in nodes(parsed(text), "page_field") if node.text]
    found = {controls(control)[0]: "Editable = false;" not in control for control in shown}
    assert found == {name: field.editable for name, field in known.items() if name != "taxAreaDisplayName"}


@pytest.mark.parametrize(("table", "chosen"), [("customers", True), ("salesOrders", False)])
def test_ids_can_be_chosen_where_the_table_takes_them(table: str, chosen: bool) -> None:
    control = page(table, "number").partition("field(id; Rec.SystemId)")[2].partition("}")[0]
    assert ("Editable = false;" not in control) is chosen


def test_a_blank_currency_shows_as_the_local_one_and_is_stored_blank() -> None:
    text = page("salesPrices", "currencyCode")
    assert "field(currencyCode; CurrencyCode)" in text
    assert 'Rec.Validate("Currency Code", Values.CurrencyStored(CurrencyCode));' in text
    assert 'CurrencyCode := Values.CurrencyShown(Rec."Currency Code");' in text
    assert "CurrencyCode: Code[10];" in text


def test_setup_tables_are_read_by_helpers_so_the_user_may_read_them() -> None:
    extension = extension_for([Use("salesPrices", "currencyCode", MINE)])
    permissions = extension.files["src/KoppelSync.PermissionSet.al"]
    assert 'tabledata "Sales Price" = RIMD' in permissions
    assert 'tabledata "General Ledger Setup" = R,' in permissions
    assert 'codeunit "Koppel Values" = X' in permissions
    assert "src/KoppelValues.Codeunit.al" in extension.files


def test_the_permission_set_covers_every_page_and_codeunit() -> None:
    permissions = EVERYTHING.files["src/KoppelSync.PermissionSet.al"]
    for each in EVERYTHING.pages:
        assert f"page {name(each.name)} = X" in permissions
        assert f"tabledata {name(each.data)} = R" in permissions
    assert "tabledata Customer = RIMD," in permissions
    assert 'tabledata "Sales Invoice Header" = R,' in permissions
    assert 'tabledata "Record Link" = RIMD,' in permissions


def test_documents_have_their_lines_below_them_if_those_are_in_use() -> None:
    both = extension_for([Use("salesOrders", "number", MINE), Use("salesOrderLines", "sequence", MINE)])
    text = both.files["src/KoppelSalesOrders.Page.al"]
    assert 'part(salesOrderLines; "Koppel Sales Order Lines")' in text
    assert 'SubPageLink = "Document Type" = field("Document Type"), "Document No." = field("No.");' in text
    assert 'SourceTableView = where("Document Type" = const(Order));' in text
    assert "part(" not in page("salesOrders", "number")


def test_orders_have_their_actions() -> None:
    text = page("salesOrders", "number")
    actions = re.findall(r"\[ServiceEnabled\]\n    procedure (\w+)\(var ActionContext: WebServiceActionContext\)", text)
    assert [action[0].lower() + action[1:] for action in actions] == list(
        catalogue().pages[ROUTE]["salesOrders"].actions
    )


def test_rows_can_be_looked_for_by_what_is_looked_up() -> None:
    extension = extension_for([Use("postedSalesInvoiceLines", "documentId", MINE, asked=True)])
    assert extension.left_out == ()
    added = extension.files["src/KoppelSalesInvoiceLine.TableExt.al"]
    assert "FieldClass = FlowField;" in added
    assert 'field(documentId; Rec."Koppel Document Id")' in extension.files["src/KoppelPostedInvoiceLines.Page.al"]
    assert 'tabledata "Sales Invoice Header" = R' in extension.files["src/KoppelSync.PermissionSet.al"]


def test_a_reference_by_id_is_kept_by_its_code() -> None:
    text = page("salesOrders", "currencyId")
    assert 'CurrencyId := Values.IdOf(Database::Currency, Rec."Currency Code");' in text
    assert 'Rec.Validate("Currency Code", Values.CodeOf(Database::Currency, CurrencyId));' in text


def test_long_texts_are_read_and_written_as_text() -> None:
    written, read = page("salesOrders", "workDescription"), page("postedSalesInvoices", "workDescription")
    assert "Target.WriteText(WorkDescription);" in written
    assert 'WorkDescription := Values.TextOf(Rec, Rec.FieldNo("Work Description"));' in read
    assert "WriteText" not in read


def test_notes_are_kept_by_a_codeunit_of_their_own() -> None:
    extension = extension_for([Use("recordNotes", "note", MINE), Use("recordNotes", "documentId", MINE, asked=True)])
    text = extension.files["src/KoppelRecordNotes.Page.al"]
    for statement in ("Load(Rec)", "Insert(Rec)", "Modify(Rec)", "Delete(Rec)", "Take(Note)"):
        assert f"Notes.{statement};" in text
    assert {"src/KoppelNote.Table.al", "src/KoppelNotes.Codeunit.al"} <= extension.files.keys()
    assert extension.left_out == ()


def test_what_cannot_be_shown_or_looked_for_is_told_with_its_place() -> None:
    uses = [
        Use("customers", "taxAreaDisplayName", MINE),
        Use("customers", "loyaltyPoints", MINE),
        Use("customers", "currencyCode", MINE, asked=True),
        Use("customers", "number", MINE, asked=True),
    ]
    by = "used by mappings/mine.yaml (MINE)"
    assert extension_for(uses).left_out == (
        f"customers.taxAreaDisplayName: it is no field of the table, {by}",
        f"customers.loyaltyPoints: Business Central has no such field, {by}",
        f"customers.currencyCode: it can be read, but rows cannot be looked for by it, {by}",
    )


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("employees", "the companion knows no table 'employees' of Business Central"),
        ("contactsInformation", "the companion cannot expose contactsInformation: Business Central computes"),
    ],
)
def test_tables_that_it_cannot_expose_are_refused(table: str, said: str) -> None:
    with pytest.raises(MappingError) as caught:
        extension_for([Use(table, "number", MINE)])
    assert caught.value.message.startswith(said)
    assert caught.value.place == "mappings/mine.yaml (MINE)"


def test_every_table_of_the_catalogue_is_thought_of() -> None:
    own = yaml.safe_load((resources.files("koppel.companion") / "pages.yaml").read_text("utf-8"))["tables"]
    assert own.keys() == catalogue().pages[ROUTE].keys() - {COMPANIES}
    unknown = {f"{t}.{c}" for t, facts in own.items() for c in facts.get("columns", ()) if c not in _fields(t)}
    # The lines of all documents are described once, and so are orders and quotes.
    assert unknown <= {f"{t}.{c}" for t in own if own[t].get("buffered") for c in own["salesOrderLines"]["columns"]} | {
        "archivedSalesOrders.salesOrderLines",
        "salesQuotes.partialShipping",
        "salesQuotes.fullyShipped",
        "archivedSalesQuotes.partialShipping",
        "archivedSalesQuotes.fullyShipped",
    }


def test_orders_and_quotes_share_the_fields_of_their_table() -> None:
    """Two pages of one table, and one extension of it, each field of which stands there once."""
    uses = [Use(table, "documentId", MINE) for table in ("salesOrderLines", "salesQuoteLines")]
    files = extension_for(uses).files
    (path,) = [path for path in files if path.endswith("KoppelSalesLine.TableExt.al")]
    assert files[path].count('"Koppel Document Id"') == 1
    assert "tableextension 79172" in files[path]
    assert extension_for(uses[1:]).files[path] == files[path]


def _fields(table: str) -> set[str]:
    return set(catalogue().pages[ROUTE][table].fields)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Customer", "Customer"),
        ("No.", '"No."'),
        ("Code", '"Code"'),
        ('a "b"', '"a ""b"""'),
        ("2nd", '"2nd"'),
        ("G/L Account", '"G/L Account"'),
    ],
)
def test_names_are_quoted_where_they_have_to_be(text: str, written: str) -> None:
    assert name(text) == written
    assert mistakes(f"codeunit 50000 X {{ procedure Y() begin Rec.{written} := 1; end; }}") == []


def test_literals_and_captions() -> None:
    assert literal("customer's") == "'customer''s'"
    assert words("salesOrderLines") == "Sales Order Lines"
    assert words("addressLine1") == "Address Line 1"
    assert words("pricesIncludingVAT") == "Prices Including VAT"
