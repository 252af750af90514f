codeunit 79184 "Koppel Order Install"
{
    Access = Internal;
    Subtype = Install;

    trigger OnInstallAppPerCompany()
    var
        OrderWatch: Codeunit "Koppel Order Watch";
    begin
        OrderWatch.AddMissing();
    end;
}
