"""What the sales application refuses: code and text by the names under which Microsoft documents them."""

from __future__ import annotations

from collections.abc import Mapping

from koppel.sandbox.dataverse.errors import ServiceError

_FAULTS: Mapping[str, tuple[str, str]] = {
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
