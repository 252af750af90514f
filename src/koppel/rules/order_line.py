"""Lines of Dataverse's orders and quotes become lines of Business Central's (SO-09 … SO-13, QUOTE-04)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec

from koppel.engine.action import Refusal
from koppel.engine.rule import Batch, Found, Need
from koppel.odata.records import Scalar
from koppel.rules import line_unit
from koppel.rules.document import ITEM, ORDER, PRODUCTS, RESOURCE, Kind, amount, money

Line = dict[str, Scalar]
COLUMNS = (
    *("sequence", "lineType", "lineObjectNumber", "quantity", "unitPrice", "discountAmount"),
    *("description", "attachedToLineNumber"),
)
"""What a new line may say."""
"""A line of Business Central, its columns in the order in which they are to be set."""

_ACTIVE = 0
_SOLD_AS: Mapping[Scalar, str] = {1: ITEM, 3: RESOURCE}
"""What a product is in Business Central, by ``producttypecode``."""
_STOCKED = "Inventory"
_STEP = 10_000
_ROOM = 100
"""Characters that a line takes of a text."""
PRICE_DECIMALS = 5
"""How Business Central rounds unit prices unless it is told otherwise."""


class Terms(msgspec.Struct, frozen=True):
    """What prices depend on: the VAT group of whoever pays, and whether prices include VAT in the new document."""

    vat_group: str = ""
    with_tax: bool = False


class Article(msgspec.Struct, frozen=True):
    """What a line is to be of. ``text``: how Business Central calls it; ``vat``: the percentage of VAT in its price, by
    the VAT group of whoever pays; ``unit``: the code of its unit, where lines say that."""

    type: str
    number: str
    text: str = ""
    vat: Mapping[str, Decimal] = {}
    unit: str = ""


def _coupled(type: str) -> Need:
    return Need(
        name=f"coupled {type}",
        couplings=PRODUCTS[type],
        key="dataverse_id",
        of=lambda batch: [
            row["productid"] for row in batch.table("products") if _SOLD_AS.get(row["producttypecode"]) == type
        ],
    )


def _goods(type: str, table: str, *columns: str) -> Need:
    return Need(
        name=type,
        table=table,
        columns=("id", "number", "displayName", *columns),
        key="id",
        of=lambda batch: [row["business_central_id"] for row in batch.table(f"coupled {type}")],
    )


def _written_in(type: str) -> Need:
    return Need(name=f"write-in {type}", couplings=PRODUCTS[type], key="key", of=lambda batch: _write_ins(batch, type))


def _write_ins(batch: Batch, type: str) -> list[Scalar]:
    """The number of the product that stands for what is written in, if that is of this type."""
    return [row["writeInProductNo"] for row in batch.table("sales_setup") if row["writeInProductType"] == type]


def line_needs(kind: Kind) -> tuple[Need, ...]:
    """What ``new_lines`` looks at."""
    details = Need(
        name="details",
        side="dataverse",
        table=kind.details,
        columns=(
            kind.link,
            *("sequencenumber", "productid", "productdescription", "description"),
            *("quantity", "priceperunit", "baseamount", "volumediscountamount", "manualdiscountamount"),
            *(["uomid"] if kind.in_units else []),
        ),
        key=kind.link,
        of=lambda batch: [record.id for record in batch.records],
    )
    return details, *ARTICLES, *(line_unit.TO_BUSINESS_CENTRAL if kind.in_units else ())


VAT = Need(name="vat", table="vatPostingSetup", columns=("vatBusPostingGroup", "vatProdPostingGroup", "vatPercent"))
ARTICLES = (
    Need(
        name="products",
        side="dataverse",
        table="product",
        columns=("productid", "productnumber", "producttypecode", "statecode"),
        key="productid",
        of=lambda batch: [row["productid"] for row in batch.table("details")],
    ),
    *(_coupled(type) for type in PRODUCTS),
    _goods(ITEM, "items", "priceIncludesTax", "vatBusPostingGrPrice", "vatProdPostingGroup"),
    _goods(RESOURCE, "resources"),
    VAT,
    Need(
        name="sales_setup",
        table="salesReceivablesSetup",
        columns=("writeInProductType", "writeInProductNo", "freightGLAccNo"),
    ),
    *(_written_in(type) for type in PRODUCTS),
    Need(name="written in", table="items", columns=("number", "type"), key="number", of=lambda b: _write_ins(b, ITEM)),
)
"""What ``articles`` and ``write_in`` look at, from the lines (``details``) on."""


def new_lines(batch: Batch, kind: Kind, terms: Mapping[str, Terms]) -> dict[str, list[Line] | Refusal]:
    """The lines of new documents by the id of Dataverse's, or why one of them cannot be made.

    ``terms``: of the documents in question. Column that the batch needs: ``freightamount``.
    """
    known, other = articles(batch, kind), write_in(batch)
    units = {type: line_unit.codes(batch, type) for type in PRODUCTS} if kind.in_units else {}
    details: dict[Scalar, list[Found]] = {}
    for row in batch.table("details"):
        details.setdefault(row[kind.link], []).append(row)
    found: dict[str, list[Line] | Refusal] = {}
    freights = zip(batch.records, batch.column("freightamount"), strict=True)
    for record, freight in freights:
        if record.id in terms:
            rows = sorted(details.get(record.id, ()), key=lambda row: int(row["sequencenumber"] or 0))
            sold = [(row, _in_unit(known[row["productid"]], row, units) if row["productid"] else other) for row in rows]
            found[record.id] = _lines(kind, sold, terms[record.id], _freight(batch, amount(freight)))
    return found


def _in_unit(
    article: Article | Refusal, row: Found, units: Mapping[str, Mapping[Scalar, str | Refusal]]
) -> Article | Refusal:
    """What a line is of, in its unit, where lines say that."""
    if isinstance(article, Refusal) or not units:
        return article
    code = units[article.type].get(row["uomid"], "")
    return code if isinstance(code, Refusal) else msgspec.structs.replace(article, unit=code)


def discountable(lines: Iterable[Line]) -> Decimal:
    """What an order discount can be taken of: lines of accounts, such as freight, allow none."""
    goods = (line for line in lines if line["lineType"] in (ITEM, RESOURCE))
    return sum((_price(line) for line in goods), Decimal(0))


def _price(line: Line) -> Decimal:
    return amount(line["quantity"]) * amount(line["unitPrice"]) - amount(line["discountAmount"])


def _lines(
    kind: Kind, sold: Sequence[tuple[Found, Article | Refusal]], terms: Terms, freight: Line | Refusal | None
) -> list[Line] | Refusal:
    lines: list[Line] = []
    for row, article in sold:
        if isinstance(article, Refusal):
            return article
        place = _STEP * (len(lines) + 1)
        line = _line(kind, row, article, terms)
        first, texts = _texts(kind, row, article)
        lines.append({"sequence": place, **line, **first})
        for number, text in enumerate(texts, 1):
            attached: Line = {"lineType": "Comment", "description": text, "attachedToLineNumber": place}
            lines.append({"sequence": place + number * _STEP, **attached})
    if isinstance(freight, Refusal):
        return freight
    return [*lines, {"sequence": _STEP * (len(lines) + 1), **freight}] if freight else lines


def _line(kind: Kind, row: Found, article: Article, terms: Terms) -> Line:
    """Quantity, then price, then discount: each of them sets those behind it anew (SO-11)."""
    quantity = amount(row["quantity"])
    price = _price_as_it_is(row, quantity) if kind.as_it_is else _price_of(row, article, terms)
    discount = quantity * amount(row["volumediscountamount"]) + amount(row["manualdiscountamount"])
    return {
        "lineType": article.type,
        "lineObjectNumber": article.number,
        **({"unitOfMeasureCode": article.unit} if article.unit else {}),
        "quantity": float(quantity),
        "unitPrice": money(price, PRICE_DECIMALS),
        "discountAmount": float(discount),
    }


def _price_of(row: Found, article: Article, terms: Terms) -> Decimal:
    """The price of a unit, without the VAT that it includes for customers like this one (SO-11)."""
    vat = Decimal(0) if terms.with_tax else article.vat.get(terms.vat_group, Decimal(0))
    return amount(row["priceperunit"]) / (1 + vat / 100)


def _price_as_it_is(row: Found, quantity: Decimal) -> Decimal:
    """The price at which the line comes to what it does in Dataverse, before discounts (QUOTE-04)."""
    if row["baseamount"] is None or not quantity:
        return amount(row["priceperunit"])
    return amount(row["baseamount"]) / quantity


def _texts(kind: Kind, row: Found, article: Article) -> tuple[Line, list[str]]:
    """The line's own text, where it is another one than that of what it sells, and the texts below it (SO-12)."""
    text = str(row["description"] or row["productdescription"] or "").strip()
    parts = list(_parts(text))
    if row["productid"] is None:
        return ({"description": parts[0]}, parts[1:]) if parts else ({}, [])
    return {}, parts if kind.as_it_is or text != article.text.strip() else []


def _parts(text: str) -> Iterator[str]:
    for line in filter(None, map(str.strip, text.splitlines())):
        yield from (line[start : start + _ROOM] for start in range(0, len(line), _ROOM))


def _freight(batch: Batch, freight: Decimal) -> Line | Refusal | None:
    """Freight is a line of the account that is set up for it (SO-13)."""
    if freight <= 0:
        return None
    account = next((row["freightGLAccNo"] for row in batch.table("sales_setup")), "")
    if account:
        line: Line = {"lineType": "Account", "lineObjectNumber": account, "quantity": 1.0}
        return {**line, "unitPrice": float(freight), "discountAmount": 0.0}
    return Refusal(
        code="SO-13",
        message=f"it has freight of {freight}, and Business Central has no account for it",
        remedy="name a Freight G/L Acc. No. in Business Central's Sales & Receivables Setup, then retry",
        field="freightGLAccNo",
        kind="transient",
    )


def articles(batch: Batch, kind: Kind) -> dict[Scalar, Article | Refusal]:
    """What products of Dataverse are in Business Central, by id (SO-09)."""
    coupled = {t: {r["dataverse_id"]: r["business_central_id"] for r in batch.table(f"coupled {t}")} for t in PRODUCTS}
    goods = {row["id"]: row for type in PRODUCTS for row in batch.table(type)}
    vat = [(row["vatBusPostingGroup"], row["vatProdPostingGroup"], row["vatPercent"]) for row in batch.table("vat")]
    found: dict[Scalar, Article | Refusal] = {}
    for product in batch.table("products"):
        type = _SOLD_AS.get(product["producttypecode"], "")
        partner = coupled.get(type, {}).get(product["productid"])
        refusal = _unsold(kind, product, type, partner, goods)
        found[product["productid"]] = refusal or _article(type, goods[partner], vat)
    return found


def _article(type: str, row: Found, vat: Iterable[tuple[Scalar, Scalar, Scalar]]) -> Article:
    """An item whose price includes VAT does so for customers of one VAT group."""
    included = row["vatBusPostingGrPrice"] if row.get("priceIncludesTax") else None
    percent = {str(bus): amount(p) for bus, prod, p in vat if bus == included and prod == row["vatProdPostingGroup"]}
    return Article(type, str(row["number"]), str(row["displayName"] or ""), percent)


def _unsold(kind: Kind, product: Found, type: str, partner: Scalar, goods: Mapping[Scalar, Found]) -> Refusal | None:
    number = str(product["productnumber"])
    refusal = Refusal(code="SO-09", message="", field="productid", value=number)
    if product["statecode"] != _ACTIVE:
        message, remedy = (
            "is not active",
            f"publish or revise it in Dataverse, or take it off the {kind.word}, then retry",
        )
    elif not type:
        message = "is neither Sales Inventory nor a Service"
        again = "submit the order again" if kind.word == ORDER.word else f"activate the {kind.word} again"
        remedy = f"only products of these two types are items and resources; write the line in, and {again}"
    elif partner is None:
        mapping = PRODUCTS[type]
        refusal = msgspec.structs.replace(refusal, kind="dependency", via=mapping, value=str(product["productid"]))
        message = f"is not coupled in {mapping}"
        remedy = f"synchronise {number} in {mapping}, then this {kind.word} goes through by itself"
    elif partner not in goods:
        message = f"is coupled to a {type.lower()} that was deleted"
        remedy = f"uncouple {number} in {PRODUCTS[type]} and couple it with another {type.lower()}, then retry"
    else:
        return None
    return msgspec.structs.replace(refusal, message=f"product {number} on its lines {message}", remedy=remedy)


def write_in(batch: Batch) -> Article | Refusal:
    """The product that stands for what is written in (SO-10)."""
    setup = "Business Central's Sales & Receivables Setup"
    row = next(iter(batch.table("sales_setup")), {})
    type, number = str(row.get("writeInProductType", "")), str(row.get("writeInProductNo") or "")
    stocked = {item["number"] for item in batch.table("written in") if item["type"] == _STOCKED}
    if not number:
        message, remedy = f"{setup} names no product for what is written in", "name a Write-in Product No. there"
    elif any(coupled["key"] == number for coupled in batch.table(f"write-in {type}")):
        message = f"the write-in product {number} is coupled in {PRODUCTS[type]}, and so sells itself"
        remedy = f"name another Write-in Product No. in {setup}, or uncouple {number}"
    elif number in stocked:
        message = f"the write-in product {number} is an item with stock"
        remedy = f"name a resource, or an item of the type Service or Non-Inventory, in {setup}"
    else:
        return Article(type, number)
    field = "writeInProductNo"
    return Refusal(code="SO-10", message=message, remedy=f"{remedy}, then retry", field=field, kind="transient")
