"""Who runs which hosts: shares of like memory, all hosts dealt out once, the quick take over."""

from hypothesis import given
from hypothesis import strategies as st

from fleet.run.dealing import MOST_MEMORY_PERCENT, PIECES, Deal, divide

MEMORY = st.lists(st.integers(1, 1 << 40), min_size=1, max_size=300)


def test_hosts_are_divided_by_shards_and_memory() -> None:
    first, second = divide([8] * 200, 2)
    assert first == [*range(64), *range(128, 164)]
    assert second == [*range(64, 128), *range(164, 200)]
    assert divide([1] * 10, 4) == [[0, 1], [2, 3, 4], [5, 6], [7, 8, 9]], "fewer shards than actors"
    assert divide([1] * 3, 8) == [[0], [1], [2]]
    assert divide([1] * 5, 2, 2) == [[0, 1], [2, 3], [4]]


@given(MEMORY, st.integers(1, 9))
def test_every_host_has_an_actor_and_actors_have_like_memory(
    memory_pages: list[int], actors: int
) -> None:
    squads = divide(memory_pages, actors)
    assert sorted(host for squad in squads for host in squad) == list(range(len(memory_pages)))
    assert all(squad == sorted(squad) for squad in squads)
    share = sum(memory_pages) / actors
    for squad in squads:
        assert abs(sum(memory_pages[host] for host in squad) - share) <= max(memory_pages)


def dealt_out(deal: Deal, actors: int, turns: list[int]) -> list[list[int]]:
    """Deal to actors in the order in which they are done; who is refused asks no more."""
    found: list[list[int]] = [[] for _ in range(actors)]
    asking, turn = set(range(actors)), 0
    while asking:
        actor = sorted(asking)[turns[turn % len(turns)] % len(asking)]
        hosts, turn = deal.more(actor), turn + 1
        if hosts:
            found[actor] += hosts
        else:
            asking.remove(actor)
    return found


@given(MEMORY, st.integers(1, 9), st.lists(st.integers(0, 8), min_size=1, max_size=40))
def test_all_hosts_are_dealt_out_once_whoever_is_quick(
    memory_pages: list[int], actors: int, turns: list[int]
) -> None:
    shares = divide(memory_pages, actors)
    found = dealt_out(Deal(shares, memory_pages), len(shares), turns)
    assert sorted(host for hosts in found for host in hosts) == list(range(len(memory_pages)))
    for hosts, share in zip(found, shares, strict=True):
        pages, fair = (sum(memory_pages[host] for host in of) for of in (hosts, share))
        cap, last = fair * MOST_MEMORY_PERCENT // 100, sum(map(len, shares)) / PIECES
        assert pages <= cap + (last + 1) * max(memory_pages), "the last piece may be beyond"


def test_the_quick_take_the_last_pieces_of_the_slow() -> None:
    shares, memory = [list(range(8)), list(range(8, 16))], [1] * 16
    assert dealt_out(Deal(shares, memory), 2, [0]) == [
        [*range(8), 15, 14],
        [8, 9, 10, 11, 12, 13],
    ], "a quarter more than its share is the most"
    assert dealt_out(Deal(shares, memory), 2, [0, 1]) == shares
    assert dealt_out(Deal(shares, memory, fixed=True), 2, [0]) == shares


def test_nobody_takes_what_somebody_may_be_at_work_on() -> None:
    deal = Deal([list(range(8)), [8]], [1] * 9)
    assert deal.own(0) == [0, 1]
    assert deal.own(1) == [8]
    assert deal.more(1) == [8]
    assert deal.more(1) == [], "a quarter more is less than a host"
    assert [deal.more(0) for _ in range(9)] == [[host] for host in range(8)] + [[]]
    deal = Deal([list(range(8)), [8, 9, 10, 11]], [1] * 12)
    assert [deal.more(1) for _ in range(6)] == [[8], [9], [10], [11], [7], []]


def test_large_shares_come_in_pieces_of_like_memory() -> None:
    memory = [1, 1, 1, 9] * 4 * PIECES
    deal = Deal([range(len(memory) // 2), range(len(memory) // 2, len(memory))], memory)
    pieces = [deal.more(0) for _ in range(PIECES)]
    pages = [sum(memory[host] for host in piece) for piece in pieces]
    assert len(pages) == PIECES
    assert set(pages) <= {15, 24, 33}, "two of every four hosts, one large host more or less"


def test_who_has_most_memory_left_gives() -> None:
    shares, memory = [[0, 1, 2, 3], list(range(4, 12)), [12, 13]], [8] * 4 + [1] * 8 + [80] * 2
    deal = Deal(shares, memory)
    assert [deal.more(2) for _ in range(3)] == [[12], [13], [3]], "not the one with more hosts"


def test_one_actor_alone_has_all() -> None:
    assert Deal([range(9)], [1] * 9).own(0) == list(range(9))
