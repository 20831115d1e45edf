"""What the plan decides alone is the same, worked out in columns or one by one."""

from fleet.log.tables import NULL
from fleet.plan.tables import RUNS_ON
from fleet.run.demands import Demands, asked
from fleet.run.desk import Priority
from fleet.run.messages import DO, EVERY_HOST, HOST, TIME, Do, by_host, orders
from tests.run import small

S = small.SECOND


def test_turns_are_in_the_order_of_time_priority_and_workload() -> None:
    work = [
        {"lifetime_ns": 20 * S},
        {"arrival_ns": 20 * S, "lifetime_ns": RUNS_ON},
        {"arrival_ns": 9 * S, "lifetime_ns": 10 * S},
        {"lifetime_ns": 20 * S},
        {"arrival_ns": 299 * S, "lifetime_ns": 5 * S},
    ]
    demands = Demands(small.plan(1, work), S)
    assert demands.residents.tolist() == [0, 3]
    assert demands.start_ns.tolist() == [0, 21 * S, 10 * S, 0, 300 * S]
    assert demands.end_ns.tolist() == [20 * S, NULL, 20 * S, 20 * S, 305 * S]
    assert demands.turns.who.tolist() == [2, ~0, ~2, ~3, 1, 4]
    assert demands.turns.time_ns.tolist() == [9 * S, *[20 * S] * 4, 299 * S]
    assert Priority.DEPARTURE < Priority.ARRIVAL


def test_every_planned_command_of_a_busy_plan() -> None:
    plan = small.busy_plan()
    work, holds, horizon_ns = plan.workloads, plan.holds, plan.horizon_ns
    demands = Demands(plan, S)
    expected = set()
    for w in range(len(work)):
        start_ns = int(work.arrival_ns[w]) + (S if work.arrival_ns[w] else 0)
        runs_on = work.lifetime_ns[w] == RUNS_ON
        end_ns = horizon_ns if runs_on else start_ns + int(work.lifetime_ns[w])
        last_ns = min(end_ns, horizon_ns)
        if end_ns < horizon_ns:
            expected.add((end_ns, Do.END, w, w, end_ns))
        for hold in [h for h in range(len(holds)) if holds.workload[h] == w]:
            begin_ns = start_ns + int(holds.offset_ns[hold])
            drop_ns = begin_ns + int(holds.duration_ns[hold])
            expected |= {(begin_ns, Do.HOLD, hold, w, begin_ns)} if begin_ns < last_ns else set()
            expected |= {(drop_ns, Do.UNHOLD, hold, w, begin_ns)} if drop_ns < last_ns else set()
    found = list(zip(*(column.tolist() for column in demands.planned), strict=True))
    assert set(found) == expected
    assert len(found) == len(expected)
    assert [row[0] for row in found] == sorted(row[0] for row in found)
    assert {row[1] for row in found} == {Do.END, Do.HOLD, Do.UNHOLD}


def test_probes_and_samples_come_by_time() -> None:
    plan = small.busy_plan()
    rows = asked(plan, 60 * S)
    assert rows[:, TIME].tolist() == sorted(rows[:, TIME].tolist())
    assert (rows[rows[:, DO] == Do.SAMPLE, HOST] == EVERY_HOST).all()
    assert (rows[:, DO] == Do.SAMPLE).sum() == 5
    assert (rows[:, DO] == Do.PROBE).sum() == plan.requests.probe.sum()
    assert len(asked(small.plan(), None)) == 0


def test_orders_are_sorted_by_host_then_as_they_are_carried_out() -> None:
    mixed = [
        orders(2, [5, 4], [Do.PLACE, Do.PLACE], [1, 1], [7, 9]),
        orders(3, [5, 5, 9], [Do.END, Do.PLACE, Do.SAMPLE], [1, 0, EVERY_HOST], [3, 8, 0]),
    ]
    rows = by_host(mixed).tolist()
    assert rows == sorted(rows, key=lambda row: (row[HOST], row))
    assert [row[3] for row in rows] == [0, 8, 9, 3, 7]
