// When an order or quote changed: its header, or any of its lines. The header alone does not tell of lines.
table 79181 "Koppel Order Change"
{
    Caption = 'Koppel Order Change', Locked = true;
    DataClassification = SystemMetadata;
    InherentEntitlements = RIMDX;
    InherentPermissions = RIMDX;

    fields
    {
        field(1; "Document Type"; Enum "Sales Document Type")
        {
            Caption = 'Document Type', Locked = true;
        }
        field(2; "Document No."; Code[20])
        {
            Caption = 'Document No.', Locked = true;
        }
        field(3; Changes; BigInteger)
        {
            Caption = 'Changes', Locked = true;
        }
    }

    keys
    {
        key(PK; "Document Type", "Document No.")
        {
            Clustered = true;
        }
    }
}
