from __future__ import annotations

import pytest

from koppel.errors import NotFoundError
from koppel.odata.csdl import read_model
from koppel.systems.business_central_schema import read_table

DOCUMENT = """<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>
<Schema Namespace="Microsoft.NAV" xmlns="http://docs.oasis-open.org/odata/ns/edm">
<EnumType Name="blocked"><Member Name="_x0020_" Value="0" /><Member Name="All" Value="3" /></EnumType>
<EntityType Name="customer"><Key><PropertyRef Name="id" /></Key>
<Property Name="id" Type="Edm.Guid" Nullable="false" />
<Property Name="displayName" Type="Edm.String" Nullable="false" MaxLength="100" />
<Property Name="balance" Type="Edm.Decimal" Scale="Variable" />
<Property Name="blocked" Type="Microsoft.NAV.blocked" />
<Property Name="tags" Type="Collection(Edm.String)" />
<Property Name="picture" Type="Edm.Stream" />
<Property Name="lastModifiedDateTime" Type="Edm.DateTimeOffset" />
<Property Name="systemModifiedBy" Type="Edm.Guid" />
</EntityType>
<EntityType Name="unit"><Property Name="code" Type="Edm.String" />
<Property Name="systemModifiedAt" Type="Edm.DateTimeOffset" />
</EntityType>
<EntityContainer Name="NAV"><EntitySet Name="customers" EntityType="Microsoft.NAV.customer" />
<EntitySet Name="units" EntityType="Microsoft.NAV.unit" />
<EntitySet Name="salesOrders" EntityType="Microsoft.NAV.unit" />
</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"""
MODEL = read_model(DOCUMENT)


def test_a_table_and_its_columns() -> None:
    customers = read_table(MODEL, "customers", takes_ids=True)
    assert (customers.name, customers.set_name, customers.id_column) == ("customers", "customers", "id")
    assert (customers.modified_at, customers.modified_by) == ("lastModifiedDateTime", "systemModifiedBy")
    assert customers.takes_ids
    assert not customers.tracks_changes
    columns = customers.columns
    assert {name: column.kind for name, column in columns.items()} == {
        "id": "guid",
        "displayName": "text",
        "balance": "decimal",
        "blocked": "enum",
        "picture": "stream",
        "lastModifiedDateTime": "datetime",
        "systemModifiedBy": "guid",
    }
    assert columns["displayName"].max_length == 100
    assert columns["blocked"].options == {"_x0020_": "_x0020_", "All": "All"}
    assert [name for name, column in columns.items() if column.required] == ["displayName"]


def test_what_the_platform_sets_cannot_be_written() -> None:
    columns = read_table(MODEL, "customers", takes_ids=True).columns
    assert [name for name, column in columns.items() if not column.creatable] == [
        "picture",
        "lastModifiedDateTime",
        "systemModifiedBy",
    ]
    assert (columns["id"].creatable, columns["id"].updatable) == (True, False)


def test_the_time_may_have_another_name_and_the_editor_none() -> None:
    units = read_table(MODEL, "units", takes_ids=False)
    assert (units.modified_at, units.modified_by, units.takes_ids) == ("systemModifiedAt", "", False)


def test_documents_get_their_ids_from_the_server() -> None:
    assert not read_table(MODEL, "salesOrders", takes_ids=True).takes_ids


def test_an_unknown_table() -> None:
    with pytest.raises(NotFoundError, match="no table vendors"):
        read_table(MODEL, "vendors", takes_ids=True)
