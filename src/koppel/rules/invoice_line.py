"""Lines of posted sales invoices become invoice products (INV-12 … INV-18).

What is coupled is sold as a product; everything else is a write-in: accounts, charges, comments, items that the
mapping of items leaves out (INV-15).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from koppel.engine.action import FollowUp, Refusal
from koppel.engine.rule import Batch, Found, Need, complete, compute, precede
from koppel.odata.records import Scalar
from koppel.rules import line_unit
from koppel.rules.document import Line, amount, coupled_products, lines_of, money, product_ids
from koppel.rules.document_price import new_price

_ACTIVE = 0
SOLD = ("lineType", "lineObjectNumber")
AMOUNTS = ("quantity", "unitPrice", "discountAmount", "netAmount", "netAmountIncludingTax", "invDiscountAmount")
SHIP_TO = {
    "shipto_name": "shipToName",
    "shipto_line1": "shipToAddressLine1",
    "shipto_line2": "shipToAddressLine2",
    "shipto_city": "shipToCity",
    "shipto_country": "shipToCountry",
    "shipto_postalcode": "shipToPostCode",
    "shipto_stateorprovince": "shipToState",
}

_COUPLED = coupled_products(lambda batch: lines_of(batch.rows()))
_PRODUCTS = Need(
    name="products",
    side="dataverse",
    table="product",
    columns=("productid", "defaultuomid", "statecode"),
    key="productid",
    of=lambda batch: product_ids(batch).values(),
)
_HEADERS = Need(
    name="headers",
    table="postedSalesInvoices",
    columns=("id", "pricesIncludeTax", "shipmentDate", *SHIP_TO.values()),
    key="id",
    of=lambda batch: batch.column("documentId"),
)
ORGANIZATION = Need(name="organization", side="dataverse", table="organization", columns=("pricingdecimalprecision",))


def _sold(row: Found) -> Line:
    return Line(str(row["lineType"]), str(row["lineObjectNumber"] or ""))


@compute(reads=SOLD, needs=(*_COUPLED, _PRODUCTS))
def product(batch: Batch) -> list[Scalar | Refusal]:
    """The product of a coupled item or resource (INV-14)."""
    return [product for product, _ in _sales(batch)]


@compute(reads=SOLD, needs=(*_COUPLED, _PRODUCTS))
def unit(batch: Batch) -> list[Scalar | Refusal]:
    """The product's default unit (INV-14)."""
    return [unit for _, unit in _sales(batch)]


def _sales(batch: Batch) -> list[tuple[Scalar, Scalar]]:
    """Product and unit of each line; neither where it is a write-in: Dataverse sells active products only."""
    units = {row["productid"]: row["defaultuomid"] for row in batch.table("products") if row["statecode"] == _ACTIVE}
    products = product_ids(batch)
    sold = [products.get(_sold(row)) for row in batch.rows()]
    return [(product, units[product]) if product in units else (None, None) for product in sold]


_IN_GROUPS = (*_COUPLED, _PRODUCTS, *line_unit.TO_DATAVERSE)


@compute(reads=(*SOLD, "unitOfMeasureCode"), needs=_IN_GROUPS)
def unit_in_group(batch: Batch) -> list[Scalar | Refusal]:
    """The unit of the line in the unit group of what it sells, or the base unit (UOM-14)."""
    return [unit for _, unit in _sales_in_groups(batch)]


def _sales_in_groups(batch: Batch) -> list[tuple[Scalar, Scalar | Refusal]]:
    sales = _sales(batch)
    units = line_unit.in_dataverse(batch, [unit for _, unit in sales])
    return [(product, product and unit) for (product, _), unit in zip(sales, units, strict=True)]


@compute(reads=SOLD, needs=(*_COUPLED, _PRODUCTS))
def is_write_in(batch: Batch) -> list[Scalar | Refusal]:
    """Whether a line sells no product that Dataverse knows (INV-15)."""
    return [product is None for product, _ in _sales(batch)]


@compute(reads=(*SOLD, "description"), needs=(*_COUPLED, _PRODUCTS))
def write_in_text(batch: Batch) -> list[Scalar | Refusal]:
    """``6410 Freight.``: number and description of a write-in (INV-15)."""
    return [
        _text(row) if product is None else None for row, (product, _) in zip(batch.rows(), _sales(batch), strict=True)
    ]


def _text(row: Found) -> str:
    return " ".join(str(part) for part in (row["lineObjectNumber"], row["description"]) if part) + "."


@compute(reads=("documentId", *AMOUNTS), needs=(_HEADERS, ORGANIZATION))
def price(batch: Batch) -> list[Scalar | Refusal]:
    """The unit price without VAT, as Dataverse keeps prices (INV-16)."""
    return [*_prices(batch)]


def _prices(batch: Batch) -> list[float]:
    with_tax = {row["id"] for row in batch.table("headers") if row["pricesIncludeTax"]}
    decimals = price_decimals(batch)
    return [money(price_of(row, decimals, with_tax=row["documentId"] in with_tax), decimals) for row in batch.rows()]


def price_decimals(batch: Batch) -> int:
    """How many decimals Dataverse keeps of a price."""
    return next((int(str(row["pricingdecimalprecision"])) for row in batch.table("organization")), 2)


def price_of(row: Found, decimals: int, *, with_tax: bool) -> Decimal:
    """The price of a line's unit; of one that includes VAT its share is taken away, rounded as prices are."""
    price, quantity = amount(row["unitPrice"]), amount(row["quantity"])
    if not (with_tax and quantity):
        return amount(money(price, decimals))
    return amount(money(price, decimals)) - amount(money(tax_of(row) / quantity, decimals))


def tax_of(row: Found) -> Decimal:
    """The VAT of a line."""
    return amount(row["netAmountIncludingTax"]) - amount(row["netAmount"])


@compute(reads=AMOUNTS)
def tax(batch: Batch) -> list[Scalar | Refusal]:
    """Amount including VAT less amount (INV-18)."""
    return [float(tax_of(row)) for row in batch.rows()]


@compute(reads=AMOUNTS)
def base_amount(batch: Batch) -> list[Scalar | Refusal]:
    """The amount before any discount (INV-18)."""
    return [_sum(row, "netAmount", "invDiscountAmount", "discountAmount") for row in batch.rows()]


@compute(reads=AMOUNTS)
def extended_amount(batch: Batch) -> list[Scalar | Refusal]:
    """The amount including VAT, before the discount of the whole invoice (INV-18)."""
    return [_sum(row, "netAmountIncludingTax", "invDiscountAmount") for row in batch.rows()]


def _sum(row: Found, *names: str) -> float:
    return float(sum((amount(row[name]) for name in names), Decimal(0)))


_INVOICES = (
    Need(
        name="coupled",
        couplings="POSTEDSALESINV-INV",
        key="business_central_id",
        of=lambda batch: batch.column("documentId"),
    ),
    Need(
        name="invoices",
        side="dataverse",
        table="invoice",
        columns=("invoiceid", "pricelevelid"),
        key="invoiceid",
        of=lambda batch: [row["dataverse_id"] for row in batch.table("coupled")],
    ),
)
_PRICES = Need(
    name="prices",
    side="dataverse",
    table="productpricelevel",
    columns=("pricelevelid", "productid", "uomid"),
    key="productid",
    of=lambda batch: product_ids(batch).values(),
)


@precede(
    reads=("documentId", *SOLD, *AMOUNTS),
    needs=(*_COUPLED, _PRODUCTS, _HEADERS, ORGANIZATION, *_INVOICES, _PRICES),
)
def price_first(batch: Batch) -> list[FollowUp]:
    """A product's price in the price list of its invoice: without it Dataverse takes no line (INV-17)."""
    return _prices_first(batch, _sales(batch))


@precede(
    reads=("documentId", *SOLD, "unitOfMeasureCode", *AMOUNTS),
    needs=(*_IN_GROUPS, _HEADERS, ORGANIZATION, *_INVOICES, _PRICES),
)
def price_first_in_groups(batch: Batch) -> list[FollowUp]:
    """The same for the unit of the line (UOM-14)."""
    sales = _sales_in_groups(batch)
    return _prices_first(batch, [(product, None if isinstance(unit, Refusal) else unit) for product, unit in sales])


def _prices_first(batch: Batch, sales: Iterable[tuple[Scalar, Scalar]]) -> list[FollowUp]:
    invoices = {row["invoiceid"]: row["pricelevelid"] for row in batch.table("invoices")}
    lists = {row["business_central_id"]: invoices.get(row["dataverse_id"]) for row in batch.table("coupled")}
    there = {(row["pricelevelid"], row["productid"], row["uomid"]) for row in batch.table("prices")}
    found = []
    for record, row, sale, price in zip(batch.records, batch.rows(), sales, _prices(batch), strict=True):
        wanted = (lists.get(row["documentId"]), *sale)
        if all(wanted) and wanted not in there and price > 0:
            there.add(wanted)
            found.append(new_price(*wanted, price, record=record.id, name=str(row["lineObjectNumber"])))
    return found


@complete(reads=("documentId",), needs=(_HEADERS,))
def shipping(batch: Batch) -> list[dict[str, Scalar]]:
    """Where and when it was delivered, as the invoice says (INV-13)."""
    headers = {row["id"]: row for row in batch.table("headers")}
    return [_shipping(headers.get(id, {})) for id in batch.column("documentId")]


def _shipping(header: Found) -> dict[str, Scalar]:
    block = {column: header.get(name) for column, name in SHIP_TO.items()}
    delivered = header.get("shipmentDate")
    return {k: v for k, v in (block | {"actualdeliveryon": delivered}).items() if v not in (None, "", "0001-01-01")}


@complete(reads=("sequence",))
def place(batch: Batch) -> list[dict[str, Scalar]]:
    """Where Dataverse shows the line, which else counts them as they arrive: in the order of the invoice (INV-12)."""
    return [{"sequencenumber": sequence} for sequence in batch.column("sequence")]
