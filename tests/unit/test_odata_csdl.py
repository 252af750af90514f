from __future__ import annotations

import pytest

from koppel.errors import DataError
from koppel.odata.csdl import NavigationProperty, Option, read_model

DOCUMENT = """<?xml version="1.0" encoding="utf-8"?>
<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx" xmlns:x="urn:x">
  <edmx:DataServices>
    <Schema Namespace="Some.Space" Alias="s" xmlns="http://docs.oasis-open.org/odata/ns/edm">
      <EnumType Name="kind"><Member Name="_x0020_" Value="0" /><Member Name="Big" Value="7" /></EnumType>
      <EntityType Name="base" Abstract="true" />
      <EntityType Name="shop" BaseType="s.base" x:primaryName="name">
        <Key><PropertyRef Name="shopid" /></Key>
        <Property Name="shopid" Type="Edm.Guid" Nullable="false" />
        <Property Name="name" Type="Edm.String" MaxLength="30" x:readOnly="true" />
        <Property Name="note" Type="Edm.String" MaxLength="Max" />
        <Property Name="rate" Type="Edm.Decimal" Precision="10" Scale="4" />
        <Property Name="sum" Type="Edm.Decimal" Scale="Variable" />
        <Property Name="kind" Type="Some.Space.kind" />
        <Property Name="kinds" Type="Collection(s.kind)" />
        <NavigationProperty Name="owner" Type="s.user" Partner="shops">
          <ReferentialConstraint Property="_owner_value" ReferencedProperty="userid" />
        </NavigationProperty>
        <NavigationProperty Name="lines" Type="Collection(s.line)" />
      </EntityType>
      <EntityContainer Name="System">
        <EntitySet Name="shops" EntityType="Some.Space.shop">
          <NavigationPropertyBinding Path="owner" Target="users" />
        </EntitySet>
      </EntityContainer>
    </Schema>
  </edmx:DataServices>
  <x:OptionSets>
    <x:OptionSet Name="shop_state"><x:Option Value="1" Label="Open" State="0" /></x:OptionSet>
  </x:OptionSets>
</edmx:Edmx>"""


def test_reads_types_sets_enums_and_additions() -> None:
    model = read_model(DOCUMENT)
    shop = model.type_of("shops")
    assert (shop.name, shop.base, shop.keys, shop.abstract) == ("shop", "base", ("shopid",), False)
    assert shop.extra == {"primaryName": "name"}
    assert model.entity_types["base"].abstract
    assert model.entity_sets["shops"].bindings == {"owner": "users"}
    assert model.enums == {"kind": {"_x0020_": 0, "Big": 7}}
    assert model.option_sets == {"shop_state": [Option(1, "Open", {"State": "0"})]}
    assert model.namespace == "Some.Space"


def test_reads_facets_of_properties() -> None:
    columns = read_model(DOCUMENT.encode()).type_of("shops").properties
    assert not columns["shopid"].nullable
    assert columns["name"].max_length == 30
    assert columns["name"].extra == {"readOnly": "true"}
    assert columns["note"].max_length is None
    assert (columns["rate"].precision, columns["rate"].scale) == (10, 4)
    assert columns["sum"].scale is None
    assert (columns["kind"].type, columns["kinds"].type, columns["kinds"].collection) == ("kind", "kind", True)


def test_reads_navigation() -> None:
    navigation = read_model(DOCUMENT).type_of("shops").navigation
    assert navigation["owner"] == NavigationProperty(
        "owner", "user", partner="shops", columns={"_owner_value": "userid"}
    )
    assert navigation["lines"].collection


@pytest.mark.parametrize("text", ["<html><body>Sign in</body></html>", "not xml", ""])
def test_something_else_is_an_error(text: str) -> None:
    with pytest.raises(DataError, match="schema"):
        read_model(text)
