// Notes of orders and of posted invoices as rows that name their document. Business Central keeps them as record links.
table 79186 "Koppel Note"
{
    Caption = 'Koppel Note', Locked = true;
    DataClassification = CustomerContent;
    TableType = Temporary;

    fields
    {
        field(1; "Link ID"; Integer)
        {
            Caption = 'Link ID', Locked = true;
        }
        field(2; "Table No."; Integer)
        {
            Caption = 'Table No.', Locked = true;
        }
        field(3; "Document Id"; Guid)
        {
            Caption = 'Document Id', Locked = true;
        }
        field(4; Description; Text[250])
        {
            Caption = 'Description', Locked = true;
        }
        field(5; Type; Option)
        {
            Caption = 'Type', Locked = true;
            OptionCaption = 'Link,Note', Locked = true;
            OptionMembers = Link,Note;
        }
        field(6; Changes; Integer)
        {
            Caption = 'Changes', Locked = true;
        }
        field(7; Created; DateTime)
        {
            Caption = 'Created', Locked = true;
        }
        field(8; "User ID"; Text[132])
        {
            Caption = 'User ID', Locked = true;
        }
        field(9; Company; Text[30])
        {
            Caption = 'Company', Locked = true;
        }
        field(10; "Modified At"; DateTime)
        {
            Caption = 'Modified At', Locked = true;
        }
        field(11; "Created At"; DateTime)
        {
            Caption = 'Created At', Locked = true;
        }
        field(12; "Modified By"; Guid)
        {
            Caption = 'Modified By', Locked = true;
        }
        field(13; "Row Version"; BigInteger)
        {
            Caption = 'Row Version', Locked = true;
        }
    }

    keys
    {
        key(PK; "Link ID")
        {
            Clustered = true;
        }
    }
}
