"""When a job must stop before it writes."""

from __future__ import annotations

import msgspec
import pytest

from engine_samples import field, table
from koppel.engine.brakes import Brakes, check_brakes
from koppel.errors import BrakeError
from koppel.mapping.model import Limits


@pytest.mark.parametrize(
    ("couplings", "updates", "deletions"),
    [(0, 0, 0), (200, 200, 0), (201, 60, 0), (1000, 300, 0), (10, 0, 50), (0, 5000, 0)],
)
def test_what_is_allowed_goes_through(couplings: int, updates: int, deletions: int) -> None:
    check_brakes(Brakes(), "CUSTOMER", couplings=couplings, updates=updates, deletions=deletions)


@pytest.mark.parametrize(
    ("couplings", "updates", "deletions", "message"),
    [
        (10, 0, 51, "this run would delete 51 records, 50 are allowed; nothing was written"),
        (201, 61, 0, "this run would change 61 of 201 coupled records, 30 % are allowed; nothing was written"),
        (1000, 301, 0, "this run would change 301 of 1000 coupled records, 30 % are allowed; nothing was written"),
    ],
)
def test_more_stops_the_job(couplings: int, updates: int, deletions: int, message: str) -> None:
    with pytest.raises(BrakeError) as caught:
        check_brakes(Brakes(), "CUSTOMER", couplings=couplings, updates=updates, deletions=deletions)
    assert caught.value.message == message
    assert caught.value.place == "CUSTOMER"
    assert caught.value.remedy == "look at `koppel plan`; if it is what you want, run again with --force"


def test_brakes_can_be_set() -> None:
    tight = Brakes(deletions=0, changes_percent=1, changes_from=0)
    check_brakes(tight, "ITEM", couplings=100, updates=1, deletions=0)
    with pytest.raises(BrakeError):
        check_brakes(tight, "ITEM", couplings=100, updates=2, deletions=0)
    with pytest.raises(BrakeError):
        check_brakes(tight, "ITEM", couplings=100, updates=0, deletions=1)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(), Brakes(deletions=50, changes_percent=30)),
        (Limits(deletions=0), Brakes(deletions=0, changes_percent=30)),
        (Limits(changes_percent=100), Brakes(deletions=50, changes_percent=100)),
    ],
)
def test_what_a_mapping_says_goes_before_and_the_rest_stays(limits: Limits, expected: Brakes) -> None:
    assert Brakes().of(msgspec.structs.replace(table(field("name")).mapping, brakes=limits)) == expected


@pytest.mark.parametrize(("brakes", "free"), [(Brakes(), 50), (Brakes(deletions=500), 200)])
def test_a_few_couplings_can_run_into_nothing(brakes: Brakes, free: int) -> None:
    """And so nobody has to count first what a job would do to them."""
    assert brakes.free_up_to(deletes=True) == free
    check_brakes(brakes, "ITEM", couplings=free, updates=free, deletions=free)
    assert brakes.free_up_to(deletes=False) == 200
    check_brakes(brakes, "ITEM", couplings=200, updates=200, deletions=0)
