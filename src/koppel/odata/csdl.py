"""OData schema (CSDL, the XML of ``$metadata``) as plain structs.

Type names lose their namespace unless it is ``Edm``. Attributes of other namespaces, such as the ``x:`` ones of the
Dataverse model that the sandbox serves from, go into ``extra`` by their local names.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import msgspec

from koppel.errors import DataError

Extra = dict[str, str]


class Property(msgspec.Struct, frozen=True):
    """A column. ``type`` is ``Edm.String`` or the bare name of an enum or complex type; no ``scale``: it varies."""

    name: str
    type: str
    collection: bool = False
    max_length: int | None = None
    precision: int | None = None
    scale: int | None = None
    nullable: bool = True
    extra: Extra = {}


class NavigationProperty(msgspec.Struct, frozen=True):
    """A way to other rows: ``columns`` maps this type's columns to those of the target that they refer to."""

    name: str
    target: str
    collection: bool = False
    partner: str = ""
    nullable: bool = True
    columns: dict[str, str] = {}
    extra: Extra = {}


class EntityType(msgspec.Struct, frozen=True):
    """A row type with its key columns. ``base`` is the bare name of the type it derives from."""

    name: str
    base: str
    abstract: bool
    keys: tuple[str, ...]
    properties: dict[str, Property]
    navigation: dict[str, NavigationProperty]
    extra: Extra = {}


class EntitySet(msgspec.Struct, frozen=True):
    """A collection of rows; ``bindings`` maps navigation properties to the sets that they lead to."""

    name: str
    type: str
    bindings: dict[str, str] = {}


class Option(msgspec.Struct, frozen=True):
    """One choice; ``extra`` holds what else is said of it, such as the ``State`` of a status."""

    value: int
    label: str
    extra: Extra = {}


class Model(msgspec.Struct, frozen=True):
    """All of a schema. ``enums`` map member names to numbers; ``option_sets`` come from a Dataverse model only."""

    namespace: str
    entity_types: dict[str, EntityType]
    entity_sets: dict[str, EntitySet]
    enums: dict[str, dict[str, int]]
    option_sets: dict[str, list[Option]]

    def type_of(self, set_name: str) -> EntityType:
        """The row type of an entity set. ``KeyError`` when there is no such set."""
        return self.entity_types[self.entity_sets[set_name].type]


def read_model(source: bytes | str | Path) -> Model:
    """The schema in a CSDL document, given as XML or as a file. ``DataError`` when it is not one."""
    try:
        root = ElementTree.fromstring(source.read_bytes() if isinstance(source, Path) else source)
    except ElementTree.ParseError as error:
        raise DataError(f"the schema is not XML: {error}") from error
    schemas = list(_all(root, "Schema"))
    if not schemas:
        raise DataError("the schema holds no Schema element: this is not OData metadata")
    return Model(
        namespace=schemas[0].get("Namespace", ""),
        entity_types={item.name: item for item in map(_entity_type, _all(root, "EntityType"))},
        entity_sets={item.name: item for item in map(_entity_set, _all(root, "EntitySet"))},
        enums={element.get("Name", ""): _members(element) for element in _all(root, "EnumType")},
        option_sets={element.get("Name", ""): _options(element) for element in _all(root, "OptionSet")},
    )


def _entity_type(element: ElementTree.Element) -> EntityType:
    keys = tuple(ref.get("Name", "") for key in _children(element, "Key") for ref in _children(key, "PropertyRef"))
    return EntityType(
        name=element.get("Name", ""),
        base=_short(element.get("BaseType", "")),
        abstract=element.get("Abstract") == "true",
        keys=keys,
        properties={item.name: item for item in map(_property, _children(element, "Property"))},
        navigation={item.name: item for item in map(_navigation, _children(element, "NavigationProperty"))},
        extra=_extra(element),
    )


def _property(element: ElementTree.Element) -> Property:
    type_name, collection = _type(element)
    return Property(
        name=element.get("Name", ""),
        type=type_name,
        collection=collection,
        max_length=_number(element.get("MaxLength")),
        precision=_number(element.get("Precision")),
        scale=_number(element.get("Scale")),
        nullable=element.get("Nullable") != "false",
        extra=_extra(element),
    )


def _navigation(element: ElementTree.Element) -> NavigationProperty:
    target, collection = _type(element)
    return NavigationProperty(
        name=element.get("Name", ""),
        target=target,
        collection=collection,
        partner=element.get("Partner", ""),
        nullable=element.get("Nullable") != "false",
        columns={
            item.get("Property", ""): item.get("ReferencedProperty", "")
            for item in _children(element, "ReferentialConstraint")
        },
        extra=_extra(element),
    )


def _entity_set(element: ElementTree.Element) -> EntitySet:
    bindings = {
        item.get("Path", ""): item.get("Target", "") for item in _children(element, "NavigationPropertyBinding")
    }
    return EntitySet(element.get("Name", ""), _short(element.get("EntityType", "")), bindings)


def _members(element: ElementTree.Element) -> dict[str, int]:
    return {
        member.get("Name", ""): int(member.get("Value", number))
        for number, member in enumerate(_children(element, "Member"))
    }


def _options(element: ElementTree.Element) -> list[Option]:
    return [
        Option(
            int(option.get("Value", "0")),
            option.get("Label", ""),
            {name: value for name, value in option.attrib.items() if name not in {"Value", "Label"}},
        )
        for option in _children(element, "Option")
    ]


def _type(element: ElementTree.Element) -> tuple[str, bool]:
    name = element.get("Type", "")
    if name.startswith("Collection("):
        return _short(name[len("Collection(") : -1]), True
    return _short(name), False


def _short(name: str) -> str:
    return name if name.startswith("Edm.") else name.rpartition(".")[2]


def _extra(element: ElementTree.Element) -> Extra:
    return {_local(name): value for name, value in element.attrib.items() if name.startswith("{")}


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _children(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (child for child in element if _local(child.tag) == name)


def _all(root: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (element for element in root.iter() if isinstance(element.tag, str) and _local(element.tag) == name)
