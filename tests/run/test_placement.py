"""The rules of placement pick what a look at every host would pick."""

import pytest

from engine.draws import below
from fleet.run.ledger import Ledger
from fleet.run.placement import NOWHERE, RULES, Rooms
from tests.run import small


def plainly(rule: str, rooms: list[int], pages: int) -> int:
    fits = [host for host, room in enumerate(rooms) if room >= pages]
    if not fits:
        return NOWHERE
    return fits[0] if rule == "first-fit" else max(fits, key=lambda host: (rooms[host], -host))


@pytest.mark.parametrize("hosts", [1, 2, 3, 16, 17, 100])
@pytest.mark.parametrize("rule", ["first-fit", "spread"])
def test_rules_equal_a_look_at_every_host(rule: str, hosts: int) -> None:
    plain = [below(40, 1, host) for host in range(hosts)]
    rooms, found = Rooms(plain), set()
    for step in range(600):
        pages = 1 + below(60, 2, step)
        host = RULES[rule](rooms, pages)  # type: ignore[index]
        assert host == plainly(rule, plain, pages)
        found.add(host)
        changed = host if host != NOWHERE and step % 2 else below(hosts, 3, step)
        plain[changed] = below(45, 4, step) - 2
        rooms.put(changed, plain[changed])
        assert rooms[changed] == plain[changed]
    assert NOWHERE in found
    assert hosts == 1 or len(found) > 2


def test_the_ledger_keeps_its_rooms_up_to_date() -> None:
    plan = small.plan(3)
    ledger = Ledger(plan.hosts, (small.shape(),) * 3, RULES["spread"])
    whole = ledger.capacity_pages[0]
    ledger.commit(0, 1)
    assert ledger.find(whole) == 1
    ledger.close(1)
    assert ledger.find(whole) == 2
    ledger.remove(2, 15, 1)
    assert ledger.find(whole) == NOWHERE
    assert ledger.find(whole - 1) == 0
    assert ledger.find_elsewhere(1, 0) == 2
    assert ledger.find(1) == 0, "looking elsewhere leaves no trace"
    ledger.restore(2, 15, 1)
    assert ledger.find(whole) == 2
    ledger.down(1)
    ledger.commit(1, 5)
    assert ledger.find(whole) == 2, "a host that is down takes nothing"
    ledger.open(1)
    ledger.commit(1, -5)
    assert ledger.find(whole) == 1
