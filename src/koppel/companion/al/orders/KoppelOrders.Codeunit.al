codeunit 79183 "Koppel Orders"
{
    Access = Internal;

    var
        CannotMoveErr: Label 'The value for "documentId" cannot be modified.';
        NoLinesErr: Label 'The value for "discountAmount" can be set once the order is there with its lines.';

    // A new line belongs to the order or quote with this id.
    procedure BelongTo(var SalesLine: Record "Sales Line"; DocumentId: Guid)
    var
        SalesHeader: Record "Sales Header";
    begin
        SalesHeader.GetBySystemId(DocumentId);
        SalesHeader.TestField("Document Type", SalesLine."Document Type");
        if (SalesLine."Document No." <> '') and (SalesLine."Document No." <> SalesHeader."No.") then
            Error(CannotMoveErr);
        SalesLine."Document Type" := SalesHeader."Document Type";
        SalesLine."Document No." := SalesHeader."No.";
    end;

    // A line without a number comes last.
    procedure NumberLine(var SalesLine: Record "Sales Line")
    var
        LastLine: Record "Sales Line";
    begin
        if SalesLine."Line No." <> 0 then
            exit;
        LastLine.SetRange("Document Type", SalesLine."Document Type");
        LastLine.SetRange("Document No.", SalesLine."Document No.");
        if LastLine.FindLast() then;
        SalesLine."Line No." := LastLine."Line No." + 10000;
    end;

    // A discount is spread over the lines, so they have to be there.
    procedure SetDiscount(var SalesHeader: Record "Sales Header"; DiscountAmount: Decimal)
    var
        Existing: Record "Sales Header";
        SalesCalcDiscountByType: Codeunit "Sales - Calc Discount By Type";
    begin
        if Existing.Get(SalesHeader."Document Type", SalesHeader."No.") then
            SalesCalcDiscountByType.ApplyInvDiscBasedOnAmt(DiscountAmount, SalesHeader)
        else
            if DiscountAmount <> 0 then
                Error(NoLinesErr);
    end;

    // Writing the status releases or reopens an order, as the actions do; a release has to come after other changes.
    procedure SetStatus(var SalesHeader: Record "Sales Header"; Before: Enum "Sales Document Status")
    var
        ReleaseSalesDocument: Codeunit "Release Sales Document";
        Wanted: Enum "Sales Document Status";
    begin
        Wanted := SalesHeader.Status;
        SalesHeader.Status := Before;
        case Wanted of
            Before:
                exit;
            Wanted::Released:
                begin
                    Reserve(SalesHeader);
                    ReleaseSalesDocument.PerformManualRelease(SalesHeader);
                end;
            Wanted::Open:
                ReleaseSalesDocument.PerformManualReopen(SalesHeader);
            else
                SalesHeader.FieldError(Status);
        end;
    end;

    // Items that are always reserved: the pages of orders reserve them as somebody types, an API does not.
    local procedure Reserve(SalesHeader: Record "Sales Header")
    var
        SalesLine: Record "Sales Line";
    begin
        if SalesHeader."Document Type" <> SalesHeader."Document Type"::Order then
            exit;
        SalesLine.SetRange("Document Type", SalesHeader."Document Type");
        SalesLine.SetRange("Document No.", SalesHeader."No.");
        SalesLine.SetRange(Type, SalesLine.Type::Item);
        SalesLine.SetRange(Reserve, SalesLine.Reserve::Always);
        SalesLine.SetFilter("Outstanding Quantity", '<>0');
        if SalesLine.FindSet() then
            repeat
                SalesLine.AutoReserve();
            until SalesLine.Next() = 0;
    end;

    // Writing a higher number of archived versions archives a quote as it is.
    procedure Archive(var SalesHeader: Record "Sales Header"; Versions: Integer)
    var
        ArchiveManagement: Codeunit ArchiveManagement;
    begin
        SalesHeader.CalcFields("No. of Archived Versions");
        if Versions > SalesHeader."No. of Archived Versions" then
            ArchiveManagement.StoreSalesDocument(SalesHeader, false);
    end;

    procedure Release(var SalesHeader: Record "Sales Header"; var ActionContext: WebServiceActionContext; PageId: Integer)
    var
        ReleaseSalesDocument: Codeunit "Release Sales Document";
    begin
        ReleaseSalesDocument.PerformManualRelease(SalesHeader);
        Answer(SalesHeader, ActionContext, PageId);
    end;

    procedure Reopen(var SalesHeader: Record "Sales Header"; var ActionContext: WebServiceActionContext; PageId: Integer)
    var
        ReleaseSalesDocument: Codeunit "Release Sales Document";
    begin
        ReleaseSalesDocument.PerformManualReopen(SalesHeader);
        Answer(SalesHeader, ActionContext, PageId);
    end;

    procedure Ship(var SalesHeader: Record "Sales Header"; var ActionContext: WebServiceActionContext; PageId: Integer)
    begin
        Post(SalesHeader, true, false);
        Answer(SalesHeader, ActionContext, PageId);
    end;

    procedure Invoice(var SalesHeader: Record "Sales Header"; var ActionContext: WebServiceActionContext; PageId: Integer)
    begin
        Post(SalesHeader, false, true);
        Answer(SalesHeader, ActionContext, PageId);
    end;

    procedure ShipAndInvoice(var SalesHeader: Record "Sales Header"; var ActionContext: WebServiceActionContext; PageId: Integer)
    begin
        Post(SalesHeader, true, true);
        Answer(SalesHeader, ActionContext, PageId);
    end;

    local procedure Post(var SalesHeader: Record "Sales Header"; ShipIt: Boolean; InvoiceIt: Boolean)
    begin
        SalesHeader.Ship := ShipIt;
        SalesHeader.Invoice := InvoiceIt;
        Codeunit.Run(Codeunit::"Sales-Post", SalesHeader);
    end;

    // An order that was invoiced altogether is gone.
    local procedure Answer(SalesHeader: Record "Sales Header"; var ActionContext: WebServiceActionContext; PageId: Integer)
    begin
        if not SalesHeader.Find() then begin
            ActionContext.SetResultCode(WebServiceActionResultCode::Deleted);
            exit;
        end;
        ActionContext.SetObjectType(ObjectType::Page);
        ActionContext.SetObjectId(PageId);
        ActionContext.AddEntityKey(SalesHeader.FieldNo(SystemId), SalesHeader.SystemId);
        ActionContext.SetResultCode(WebServiceActionResultCode::Updated);
    end;
}
