// Notes every change of an order or quote and of its lines, whoever makes it.
codeunit 79182 "Koppel Order Watch"
{
    Access = Internal;
    InherentEntitlements = X;
    InherentPermissions = X;

    procedure AddMissing()
    var
        SalesHeader: Record "Sales Header";
        OrderChange: Record "Koppel Order Change";
    begin
        SalesHeader.SetFilter("Document Type", '%1|%2', SalesHeader."Document Type"::Order, SalesHeader."Document Type"::Quote);
        SalesHeader.SetLoadFields("Document Type", "No.");
        if SalesHeader.FindSet() then
            repeat
                if not OrderChange.Get(SalesHeader."Document Type", SalesHeader."No.") then
                    Changed(SalesHeader."Document Type", SalesHeader."No.");
            until SalesHeader.Next() = 0;
    end;

    local procedure Changed(DocumentType: Enum "Sales Document Type"; DocumentNo: Code[20])
    var
        OrderChange: Record "Koppel Order Change";
    begin
        if not (DocumentType in [DocumentType::Order, DocumentType::Quote]) or (DocumentNo = '') then
            exit;
        if OrderChange.Get(DocumentType, DocumentNo) then begin
            OrderChange.Changes += 1;
            OrderChange.Modify();
        end else begin
            OrderChange."Document Type" := DocumentType;
            OrderChange."Document No." := DocumentNo;
            OrderChange.Insert();
        end;
    end;

    [EventSubscriber(ObjectType::Table, Database::"Sales Header", 'OnAfterInsertEvent', '', false, false)]
    local procedure HeaderInserted(var Rec: Record "Sales Header")
    begin
        if not Rec.IsTemporary() then
            Changed(Rec."Document Type", Rec."No.");
    end;

    [EventSubscriber(ObjectType::Table, Database::"Sales Header", 'OnAfterModifyEvent', '', false, false)]
    local procedure HeaderModified(var Rec: Record "Sales Header")
    begin
        if not Rec.IsTemporary() then
            Changed(Rec."Document Type", Rec."No.");
    end;

    [EventSubscriber(ObjectType::Table, Database::"Sales Header", 'OnAfterDeleteEvent', '', false, false)]
    local procedure HeaderDeleted(var Rec: Record "Sales Header")
    var
        OrderChange: Record "Koppel Order Change";
    begin
        if not Rec.IsTemporary() then
            if OrderChange.Get(Rec."Document Type", Rec."No.") then
                OrderChange.Delete();
    end;

    [EventSubscriber(ObjectType::Table, Database::"Sales Line", 'OnAfterInsertEvent', '', false, false)]
    local procedure LineInserted(var Rec: Record "Sales Line")
    begin
        if not Rec.IsTemporary() then
            Changed(Rec."Document Type", Rec."Document No.");
    end;

    [EventSubscriber(ObjectType::Table, Database::"Sales Line", 'OnAfterModifyEvent', '', false, false)]
    local procedure LineModified(var Rec: Record "Sales Line")
    begin
        if not Rec.IsTemporary() then
            Changed(Rec."Document Type", Rec."Document No.");
    end;

    [EventSubscriber(ObjectType::Table, Database::"Sales Line", 'OnAfterDeleteEvent', '', false, false)]
    local procedure LineDeleted(var Rec: Record "Sales Line")
    var
        SalesHeader: Record "Sales Header";
    begin
        if Rec.IsTemporary() then
            exit;
        if SalesHeader.Get(Rec."Document Type", Rec."Document No.") then
            Changed(Rec."Document Type", Rec."Document No.");
    end;
}
