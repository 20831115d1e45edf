"""Whose a number was when a row was made."""

import pytest

from engine.enums import Pinner
from fleet.run.guests import NOBODY, Guests
from fleet.run.messages import pin_id
from tests.run import small

SECOND = small.SECOND


@pytest.fixture
def guests() -> Guests:
    """Two workloads one after the other with the same numbers, nothing read in between."""
    work = {"pinner": int(Pinner.VFIO), "pinned_pages": 16}
    plan = small.plan(work=[work] * 2)
    world = small.world(plan, small.scenario())
    found = Guests(world, world.shapes[0], 1)
    found.place(0, 0, 0)
    found.leave(5 * SECOND, 0, 0)
    found.place(5 * SECOND + world.latency_ns, 1, 3)
    return found


def test_a_number_has_its_former_owner_up_to_the_next(guests: Guests) -> None:
    taken_ns = guests.batch[-2][0]
    assert [guests.owner(1, at_ns) for at_ns in (0, taken_ns - 1, taken_ns)] == [
        (0, 0),
        (0, 0),
        (1, 3),
    ]
    assert guests.pin_id(1, taken_ns - 1) == pin_id(0, 0)
    assert guests.pin_id(1, taken_ns) == pin_id(1, 3)
    assert guests.owner(2, 0) == (NOBODY, 0)


def test_what_was_read_is_forgotten(guests: Guests) -> None:
    guests.settle()
    assert guests.owner(1, 0) == (1, 3)
    assert guests.pin_id(1, 0) == pin_id(1, 3)
    assert guests.books().owners == {1: (1, 3)}
    assert guests.books().pin_ids == {1: pin_id(1, 3)}


def test_a_short_reference_has_no_id_under_a_number_that_a_pin_had() -> None:
    plan = small.plan(
        work=[{"pinner": int(Pinner.VFIO), "pinned_pages": 16}, {}],
        held=[(1, 0, 0, 4, SECOND)],
    )
    world = small.world(plan, small.scenario())
    found = Guests(world, world.shapes[0], 1)
    found.place(0, 0, 0)
    found.place(0, 1, 0)
    found.leave(SECOND, 0, 0)
    taken_ns = SECOND + world.latency_ns
    found.hold(taken_ns, 0, 1, 0)
    assert found.pin_id(1, taken_ns - 1) == pin_id(0, 0)
    assert found.pin_id(1, taken_ns) == NOBODY
    assert found.books().pin_ids == {}
