codeunit 79180 "Koppel Values"
{
    Access = Internal;

    var
        LocalCurrency: Code[10];
        NoRowErr: Label 'There is no %1 with the id %2.', Comment = '%1 = name of a table, %2 = id';

    // A blank currency is the local one, which callers see by its code.
    procedure CurrencyShown(Stored: Code[10]): Code[10]
    begin
        if Stored <> '' then
            exit(Stored);
        exit(LocalCurrencyCode());
    end;

    procedure CurrencyStored(Shown: Code[10]): Code[10]
    begin
        if Shown = LocalCurrencyCode() then
            exit('');
        exit(Shown);
    end;

    // The id of the row that a code names; no id when there is none.
    procedure IdOf(TableNo: Integer; RowCode: Code[20]): Guid
    var
        Found: RecordRef;
        Id: Guid;
    begin
        if RowCode = '' then
            exit(Id);
        Found.Open(TableNo);
        Found.Field(1).SetRange(RowCode);
        if Found.FindFirst() then
            Id := Found.Field(Found.SystemIdNo()).Value();
        exit(Id);
    end;

    procedure IdIf(Applies: Boolean; TableNo: Integer; RowCode: Code[20]): Guid
    var
        NoId: Guid;
    begin
        if Applies then
            exit(IdOf(TableNo, RowCode));
        exit(NoId);
    end;

    // The code of the row with an id, which has to exist.
    procedure CodeOf(TableNo: Integer; Id: Guid): Code[20]
    var
        Found: RecordRef;
    begin
        if IsNullGuid(Id) then
            exit('');
        Found.Open(TableNo);
        if not Found.GetBySystemId(Id) then
            Error(NoRowErr, Found.Caption(), Id);
        exit(Found.Field(1).Value());
    end;

    // The long text in a field of a row.
    procedure TextOf(Row: Variant; FieldNo: Integer): Text
    var
        TempBlob: Codeunit "Temp Blob";
        TypeHelper: Codeunit "Type Helper";
        Source: InStream;
    begin
        TempBlob.FromRecord(Row, FieldNo);
        if not TempBlob.HasValue() then
            exit('');
        TempBlob.CreateInStream(Source, TextEncoding::UTF8);
        exit(TypeHelper.ReadAsTextWithSeparator(Source, TypeHelper.LFSeparator()));
    end;

    local procedure LocalCurrencyCode(): Code[10]
    var
        GeneralLedgerSetup: Record "General Ledger Setup";
    begin
        if LocalCurrency = '' then begin
            GeneralLedgerSetup.Get();
            LocalCurrency := GeneralLedgerSetup."LCY Code";
        end;
        exit(LocalCurrency);
    end;
}
