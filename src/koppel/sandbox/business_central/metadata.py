"""The service document and ``$metadata``: CSDL made from the data files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any
from xml.sax.saxutils import quoteattr

from koppel.catalogue.pages import COMPANIES, NAMESPACE, Catalogue, Field, Navigation, Page, RouteName

_HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>'
    '<edmx:Edmx xmlns="http://docs.oasis-open.org/odata/ns/edm" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx" '
    'Version="4.0"><edmx:DataServices><Schema Namespace="Microsoft.NAV">'
)
_TAIL = "</Schema></edmx:DataServices></edmx:Edmx>"
_CAPABILITIES = "Org.OData.Capabilities.V1."


def service_document(catalogue: Catalogue, route: RouteName, root: str) -> dict[str, Any]:
    """The entity sets of a route."""
    sets = [{"name": name, "kind": "EntitySet", "url": name} for name in catalogue.pages[route]]
    return {"@odata.context": f"{root}/$metadata", "value": sets}


@lru_cache(maxsize=4)
def metadata(catalogue: Catalogue, route: RouteName) -> bytes:
    """The schema of a route as XML."""
    pages = catalogue.pages[route]
    parts = [_HEAD]
    for page in pages.values():
        parts += _entity_type(catalogue, page)
    for page in pages.values():
        parts += map(partial(_action, page), page.actions)
    for name in sorted(_used_enums(pages)):
        members = "".join(
            f'<Member Name="{member}" Value="{value}" />' for member, value in catalogue.enums[name].items()
        )
        parts.append(f'<EnumType Name="{name}">{members}</EnumType>')
    parts.append('<EntityContainer Name="NAV">')
    for page in pages.values():
        parts += _entity_set(page)
    parts += ["</EntityContainer>", _TAIL]
    return "".join(parts).encode()


def _action(page: Page, name: str) -> str:
    return (
        f'<Action Name="{name}" IsBound="true"><Parameter Name="bindingParameter" Type="{page.type_name}" /></Action>'
    )


def _used_enums(pages: dict[str, Page]) -> set[str]:
    fields = (field for page in pages.values() for field in page.fields.values())
    return {field.type.removeprefix(NAMESPACE) for field in fields if field.kind == "enum"}


def _entity_type(catalogue: Catalogue, page: Page) -> Iterator[str]:
    yield f'<EntityType Name="{page.entity}"><Key><PropertyRef Name="{page.key}" /></Key>'
    yield from map(_property, page.fields.values())
    for step in page.navigation.values():
        yield from _navigation(catalogue, page, step)
    if page.set_name == COMPANIES:
        for other in catalogue.pages[page.route].values():
            if other is not page:
                target = f"Collection({other.type_name})"
                yield f'<NavigationProperty Name="{other.set_name}" Type="{target}" ContainsTarget="true" />'
        yield _ALTERNATE_KEYS
    yield "</EntityType>"


_ALTERNATE_KEYS = (
    '<Annotation Term="OData.Community.Keys.V1.AlternateKeys"><Collection>'
    + "".join(
        '<Record Type="OData.Community.Keys.V1.AlternateKey"><PropertyValue Property="Key"><Collection>'
        '<Record Type="OData.Community.Keys.V1.PropertyRef">'
        f'<PropertyValue Property="Name" PropertyPath="{name}" /><PropertyValue Property="Alias" String="{name}" />'
        "</Record></Collection></PropertyValue></Record>"
        for name in ("name", "businessProfileId")
    )
    + "</Collection></Annotation>"
)


def _property(field: Field) -> str:
    words = [f"Name={quoteattr(field.name)}", f"Type={quoteattr(field.type)}"]
    words += [] if field.nullable else ['Nullable="false"']
    words += [] if field.max_length is None else [f'MaxLength="{field.max_length}"']
    words += ['Scale="Variable"'] if field.kind == "decimal" else []
    return f"<Property {' '.join(words)} />"


def _navigation(catalogue: Catalogue, page: Page, step: Navigation) -> Iterator[str]:
    target = catalogue.page_of_entity(page.route, step.entity)
    if target is None:
        return
    target_type = f"Collection({target.type_name})" if step.collection else target.type_name
    yield f'<NavigationProperty Name="{step.name}" Type="{target_type}" ContainsTarget="true">'
    if step.by:
        yield f'<ReferentialConstraint Property="{step.by}" ReferencedProperty="{target.key}" />'
    yield "</NavigationProperty>"


def _entity_set(page: Page) -> Iterator[str]:
    yield f'<EntitySet Name="{page.set_name}" EntityType="{page.type_name}">'
    yield _capability("ChangeTracking", "Supported", False)
    yield _capability("DeleteRestrictions", "Deletable", page.delete)
    yield _capability("InsertRestrictions", "Insertable", page.insert)
    yield _capability("UpdateRestrictions", "Updatable", page.modify)
    yield _capability("SortRestrictions", "Sortable", True)
    yield "</EntitySet>"


def _capability(term: str, name: str, value: bool) -> str:
    truth = "true" if value else "false"
    return (
        f'<Annotation Term="{_CAPABILITIES}{term}"><Record>'
        f'<PropertyValue Property="{name}" Bool="{truth}" /></Record></Annotation>'
    )
