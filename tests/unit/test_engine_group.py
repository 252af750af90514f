"""Fields that merge as one value, some of which go one way only."""

from __future__ import annotations

import msgspec

from engine_samples import field, merge, table


def test_what_a_rule_computes_goes_along_with_its_group() -> None:
    """A percentage beside an amount, which is all that Business Central knows."""
    percent = msgspec.structs.replace(
        field("", "number", group="discount").mapping,
        business_central="",
        dataverse="cr_percent",
        direction="to_dataverse",
        compute="a.none",
    )
    empty = field("percent", "number", group="discount")
    ours = msgspec.structs.replace(empty.business_central, column="")
    found = table(
        field("amount", "number", group="discount"),
        msgspec.structs.replace(empty, mapping=percent, business_central=ours),
    )
    then = (60, None), (60, 5)
    assert merge(found, (70, None), (60, 5), then).to_dataverse == {"cr_amount": 70, "cr_percent": None}
    action = merge(found, (60, None), (80, 7), then)
    assert (action.to_business_central, action.to_dataverse) == ({"amount": 80}, {})
    assert action.base == ((80, None), (80, 7))
    assert merge(found, (80, None), (80, 7), action.base).kind == "nothing"
    assert [c.group for c in merge(found, (70, None), (80, 7), then).conflicts] == ["discount"]
