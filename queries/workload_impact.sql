-- workload_impact
-- Question: What did the applications lose?
-- Columns:
--   arm: policies compared, in the order of the scenario
--   workloads count: workloads of the plan
--   placed count: placed on a host at least once
--   rejected count: never placed for want of room
--   pin_failed count: ended because their pin failed
--   oom_killed count: killed for want of memory
--   host_reset count: lost with a host that a watchdog reset
--   host_panicked count: lost with a host that panicked
--   restarts count: placements after the first
--   vfio count: workloads with a device attached
--   vfio_lost count: of them, those whose pin failed, that were killed, or lost with their host
--   flow_seconds_lost flow-s: network flows x seconds they were not served
SELECT
    arm,
    count(workload) AS workloads,
    count(placed_ns) AS placed,
    count(*) FILTER (WHERE outcome = 'rejected') AS rejected,
    count(*) FILTER (WHERE outcome = 'pin_failed') AS pin_failed,
    count(*) FILTER (WHERE outcome = 'oom_killed') AS oom_killed,
    count(*) FILTER (WHERE outcome = 'host_reset') AS host_reset,
    count(*) FILTER (WHERE outcome = 'host_panicked') AS host_panicked,
    coalesce(sum(restarts), 0)::BIGINT AS restarts,
    count(*) FILTER (WHERE vfio) AS vfio,
    count(*) FILTER (
        WHERE vfio AND outcome IN ('pin_failed', 'oom_killed', 'host_reset', 'host_panicked')
    ) AS vfio_lost,
    coalesce(sum(flow_us_lost), 0)::BIGINT / 1000000 AS flow_seconds_lost
FROM arms
LEFT JOIN workloads USING (arm)
GROUP BY position, arm
ORDER BY position
