codeunit 79187 "Koppel Notes"
{
    Access = Internal;

    var
        NewText: Text;
        HasNewText: Boolean;
        CannotMoveErr: Label 'The value for "documentId" cannot be modified.';

    // The notes that the filters of the caller may let through; which of them do, the caller sees to.
    procedure Load(var TempNote: Record "Koppel Note" temporary)
    var
        RecordLink: Record "Record Link";
        Documents: Text;
        View: Text;
    begin
        View := TempNote.GetView(false);
        Documents := TempNote.GetFilter("Document Id");
        RecordLink.SetRange(Company, CompanyName());
        RecordLink.SetRange(Type, RecordLink.Type::Note);
        RecordLink.SetFilter(SystemId, TempNote.GetFilter(SystemId));
        TempNote.Reset();
        TempNote.DeleteAll();
        if Documents = '' then
            AddAll(RecordLink, TempNote)
        else
            AddOf(RecordLink, TempNote, Documents);
        TempNote.SetView(View);
    end;

    procedure TextOf(LinkId: Integer): Text
    var
        RecordLink: Record "Record Link";
        RecordLinkManagement: Codeunit "Record Link Management";
    begin
        if not RecordLink.Get(LinkId) then
            exit('');
        RecordLink.CalcFields(Note);
        exit(RecordLinkManagement.ReadNote(RecordLink));
    end;

    // The text that the next note gets which is inserted or modified.
    procedure Take(Text: Text)
    begin
        NewText := Text;
        HasNewText := true;
    end;

    procedure Insert(var TempNote: Record "Koppel Note" temporary)
    var
        RecordLink: Record "Record Link";
        SalesHeader: Record "Sales Header";
    begin
        TempNote.TestField("Document Id");
        SalesHeader.GetBySystemId(TempNote."Document Id");
        RecordLink.SystemId := TempNote.SystemId;
        RecordLink."Record ID" := SalesHeader.RecordId();
        RecordLink.Type := RecordLink.Type::Note;
        RecordLink.Company := CopyStr(CompanyName(), 1, MaxStrLen(RecordLink.Company));
        RecordLink."User ID" := CopyStr(UserId(), 1, MaxStrLen(RecordLink."User ID"));
        RecordLink.Created := TempNote.Created;
        if RecordLink.Created = 0DT then
            RecordLink.Created := CurrentDateTime();
        Write(RecordLink, TempNote);
        RecordLink.Insert(true, true);
        Shown(RecordLink, TempNote);
    end;

    procedure Modify(var TempNote: Record "Koppel Note" temporary)
    var
        RecordLink: Record "Record Link";
    begin
        RecordLink.Get(TempNote."Link ID");
        if IdOf(RecordLink) <> TempNote."Document Id" then
            Error(CannotMoveErr);
        RecordLink.Created := TempNote.Created;
        Write(RecordLink, TempNote);
        RecordLink.Modify(true);
        TempNote.Delete();
        Shown(RecordLink, TempNote);
    end;

    procedure Delete(var TempNote: Record "Koppel Note" temporary)
    var
        RecordLink: Record "Record Link";
    begin
        RecordLink.Get(TempNote."Link ID");
        RecordLink.Delete(true);
    end;

    local procedure AddAll(var RecordLink: Record "Record Link"; var TempNote: Record "Koppel Note" temporary)
    begin
        if RecordLink.FindSet() then
            repeat
                if not IsNullGuid(IdOf(RecordLink)) then
                    Shown(RecordLink, TempNote);
            until RecordLink.Next() = 0;
    end;

    local procedure AddOf(var RecordLink: Record "Record Link"; var TempNote: Record "Koppel Note" temporary; Documents: Text)
    var
        SalesHeader: Record "Sales Header";
        SalesInvoiceHeader: Record "Sales Invoice Header";
    begin
        SalesHeader.SetFilter(SystemId, Documents);
        if SalesHeader.FindSet() then
            repeat
                RecordLink.SetRange("Record ID", SalesHeader.RecordId());
                AddAll(RecordLink, TempNote);
            until SalesHeader.Next() = 0;
        SalesInvoiceHeader.SetFilter(SystemId, Documents);
        if SalesInvoiceHeader.FindSet() then
            repeat
                RecordLink.SetRange("Record ID", SalesInvoiceHeader.RecordId());
                AddAll(RecordLink, TempNote);
            until SalesInvoiceHeader.Next() = 0;
    end;

    // The document of a note, if it is an order or a posted invoice.
    local procedure IdOf(RecordLink: Record "Record Link"): Guid
    var
        SalesHeader: Record "Sales Header";
        SalesInvoiceHeader: Record "Sales Invoice Header";
        NoId: Guid;
    begin
        case RecordLink."Record ID".TableNo() of
            Database::"Sales Header":
                if SalesHeader.Get(RecordLink."Record ID") then
                    if SalesHeader."Document Type" = SalesHeader."Document Type"::Order then
                        exit(SalesHeader.SystemId);
            Database::"Sales Invoice Header":
                if SalesInvoiceHeader.Get(RecordLink."Record ID") then
                    exit(SalesInvoiceHeader.SystemId);
        end;
        exit(NoId);
    end;

    local procedure Write(var RecordLink: Record "Record Link"; var TempNote: Record "Koppel Note" temporary)
    var
        RecordLinkManagement: Codeunit "Record Link Management";
    begin
        RecordLink.Description := TempNote.Description;
        if HasNewText then
            RecordLinkManagement.WriteNote(RecordLink, NewText);
        HasNewText := false;
    end;

    local procedure Shown(var RecordLink: Record "Record Link"; var TempNote: Record "Koppel Note" temporary)
    begin
        TempNote.Init();
        TempNote.SystemId := RecordLink.SystemId;
        TempNote."Link ID" := RecordLink."Link ID";
        TempNote."Table No." := RecordLink."Record ID".TableNo();
        TempNote."Document Id" := IdOf(RecordLink);
        TempNote.Description := RecordLink.Description;
        TempNote.Type := TempNote.Type::Note;
        TempNote.Created := RecordLink.Created;
        TempNote."User ID" := RecordLink."User ID";
        TempNote.Company := RecordLink.Company;
        TempNote."Modified At" := RecordLink.SystemModifiedAt;
        TempNote."Created At" := RecordLink.SystemCreatedAt;
        TempNote."Modified By" := RecordLink.SystemModifiedBy;
        TempNote."Row Version" := RecordLink.SystemRowVersion;
        TempNote.Insert(false, true);
    end;
}
