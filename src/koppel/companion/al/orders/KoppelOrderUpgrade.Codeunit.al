codeunit 79185 "Koppel Order Upgrade"
{
    Access = Internal;
    Subtype = Upgrade;

    trigger OnUpgradePerCompany()
    var
        OrderWatch: Codeunit "Koppel Order Watch";
    begin
        OrderWatch.AddMissing();
    end;
}
