"""What the sales application refuses: code and text by the names under which Microsoft documents them."""

from __future__ import annotations

from collections.abc import Mapping

from koppel.sandbox.dataverse.errors import ServiceError

_FAULTS: Mapping[str, tuple[str, str]] = {
    "CannotAddDraftFamilyProductBundleToCases": (
        "0x8004F984",
        "You can't add a product family, a draft product, or a draft bundle.",
    ),
    "CannotAddProduct": ("0x8004F908", "You can only add Active products."),
    "CannotCancelInvoice": (
        "0x80100001",
        "The invoice cannot be cancelled because it is not in active or paid state.",
    ),
    "CannotPayNonActiveInvoice": (
        "0x80100000",
        "The invoice cannot be paid because it is not in active state.",
    ),
    "CannotSpecifyBothProductAndProductDesc": (
        "0x80043afb",
        "You cannot set both 'productid' and 'productdescription' for the same record.",
    ),
    "CannotSpecifyBothUomAndProductDesc": (
        "0x80043afa",
        "You cannot set both 'uomid' and 'productdescription' for the same record.",
    ),
    "CannotUpdateBecauseItIsReadOnly": ("0x8004022e", "The object cannot be updated because it is read-only."),
    "CannotUpdateOpportunityCurrency": (
        "0x80048479",
        "The currency cannot be changed because this opportunity has Products Quotes, and/ or Orders associated with "
        "it.  If you want to change the currency please delete all of the Products/quotes/orders and then change the "
        "currency or create a new opportunity with the appropriate currency.",
    ),
    "CannotUpdateQuoteCurrency": (
        "0x8004480e",
        "The currency cannot be changed because this quote has Products associated with it. If you want to change the "
        "currency please delete all of the Products and then change the currency or create a new quote with the "
        "appropriate currency.",
    ),
    "CannotUseOpportunitySetStateMessage": (
        "0x80100005",
        "This message can not be used to set the state of opportunity to {0}. In order to set state of opportunity to "
        "{1}, use the {1} message instead.",
    ),
    "EntityIsLocked": ("0x80043b1d", "This entity is already locked."),
    "EntityIsUnlocked": ("0x80043b1e", "This entity is already unlocked."),
    "InvoiceCloseDeprecated": (
        "0x80043b25",
        "The Invoice Close API is deprecated. It has been replaced by the Pay and Cancel APIs.",
    ),
    "MissingProductId": ("0x80043b11", "The product id is missing."),
    "ParentReadOnly": ("0x80043b09", "The parent is read only and cannot be edited."),
    "PriceListIsMandatory": ("0x80100010", "PriceList is mandatory for creating entity."),
    "ProductInvalidQuantityDecimal": (
        "0x80043b07",
        "The number of decimal places on the quantity is invalid.",
    ),
    "QuoteReviseExistingActiveQuote": (
        "0x80048d00",
        "Quote cannot be revised as there already exists another quote in Draft/Active state and with same quote "
        "number.",
    ),
    "RecordAndPricelistCurrencyNotEqual": (
        "0x80048cf6",
        "The currency of the record does not match the currency of the price list.",
    ),
    "CannotActivateRecord": (
        "0x80081017",
        "You can't activate a retired product family or bundle. Also, you can't activate a retired product that is "
        "part of a product family.",
    ),
    "CannotAddPricelistToProductFamily": ("0x8004F902", "You can't add a product family to a pricelist."),
    "CannotAddRetiredProductToPricelist": ("0x80061009", "Retired products can not be added to pricelists."),
    "CannotPublishChildOfNonActiveProductFamily": (
        "0x8004F909",
        "You can't publish this record because it belongs to a product family that isn't published.",
    ),
    "CannotUpdateProductUnitGroup": (
        "0x800422FE",
        "Please update only the unit. The unit group can't be updated once the product is created.",
    ),
    "CanOnlySetActiveOrDraftProductFamilyAsParent": (
        "0x8004F906",
        "You can only set product families in a draft or active state as parent.",
    ),
    "CurrencyNotEqual": ("0x80048cea", "The currency of the {0} does not match the currency of the {1}."),
    "DuplicateProductPriceLevel": (
        "0x80043b08",
        "This product and unit combination has a price for this price list.",
    ),
    "MissingUomId": ("0x80043b0d", "The unit id is missing."),
    "PriceLevelInUse": (
        "0x80043b04",
        "The price level cannot be deactivated because it is the default price level of an account, contact or "
        "product.",
    ),
    "PriceLevelNameExists": ("0x80043b0f", "The name already exists."),
    "ProductCanOnlyBeUpdatedInDraft": (
        "0x8004F995",
        "Product, product family and bundle can only be updated in draft state.",
    ),
    "ProductFromActiveToActiveState": ("0x8004F982", "Product is already in Active State."),
    "ProductFromActiveToDraftState": ("0x8004F912", "You can't set a published product to the draft state."),
    "ProductFromDraftToDraftState": ("0x8004F981", "Product is already in Draft State."),
    "ProductFromDraftToRetiredState": (
        "0x8004F978",
        "You can't retire this product because {0} is in draft state. A product should be in Active/ Under Revision "
        "state for retiring.",
    ),
    "ProductFromDraftToRevisedState": ("0x8004F913", "You can't revise a draft or a retired product."),
    "ProductFromRetiredToDraftState": (
        "0x8004F979",
        "It is not possible to move product from Retired to Draft State.",
    ),
    "ProductFromRetiredToRetiredState": ("0x8004F980", "Product is already in Retired State."),
    "ProductInvalidUnit": ("0x80043b14", "The specified unit is not valid for this product."),
    "ProductMissingUomSheduleId": ("0x80043b13", "The unit schedule id of the product is missing."),
    "ProductNoProductNumber": ("0x80043b05", "The product number can not be null."),
    "ProductOrBundleCannotBeAsParent": ("0x8004F973", "Only Product Families can be parents to products."),
    "ProductProductNumberExists": (
        "0x80043b06",
        "The specified product ID conflicts with the product ID of an existing record. Specify a different product "
        "ID and try again.",
    ),
    "RecordCanOnlyBeRevisedFromActiveState": ("0x8004F883", "You can only revise an active product."),
}


def fault(name: str, *parts: object) -> ServiceError:
    """The refusal of that name; ``parts`` fill the gaps of its text."""
    code, text = _FAULTS[name]
    return ServiceError(400, code, text.format(*parts))
