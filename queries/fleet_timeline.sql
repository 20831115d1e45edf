-- fleet_timeline
-- Question: What happened when, over all hosts and replications?
-- Parameters:
--   step_ns int = 3600000000000: width of a time step in ns
-- Columns:
--   arm: policies compared, in the order of the scenario
--   time_ns ns: start of the step, from the start of the run
--   arrivals count: workloads that arrived
--   requests count: removal requests and probes issued
--   offlined count: requests that went offline in the step
--   hung count: requests whose deadline passed in the step (stuck), or whose host was reset
--   resets count: hosts reset by a watchdog
--   oom_kills count: processes killed for want of memory
--   pin_failures count: pins that failed
--   pin_bytes bytes: bytes migrated by long-term pins
--   offline_bytes bytes: bytes migrated by offlining
-- Notes:
--   Steps in which nothing happened are left out. Workloads resident at the start are not arrivals.
WITH events AS (
    SELECT arm, arrived_ns AS at_ns, 'arrival' AS what, 1 AS amount
    FROM workloads
    WHERE arrived_ns >= 0
    UNION ALL
    SELECT arm, issued_ns, 'request', 1
    FROM requests
    UNION ALL
    SELECT arm, ended_ns, 'offlined', 1
    FROM requests
    WHERE outcome = 'offlined'
    UNION ALL
    SELECT arm, CASE WHEN outcome = 'stuck' THEN deadline_ns ELSE ended_ns END, 'hung', 1
    FROM requests
    WHERE outcome = 'stuck' OR reset
    UNION ALL
    SELECT arm, time_ns, kind, 1
    FROM incidents
    UNION ALL
    SELECT arm, time_ns, reason, bytes
    FROM migrations
),
stepped AS (
    SELECT arm, (at_ns // $step_ns) * $step_ns AS time_ns, what, amount
    FROM events
    WHERE at_ns IS NOT NULL
)
SELECT
    arm,
    time_ns::BIGINT AS time_ns,
    count(*) FILTER (WHERE what = 'arrival') AS arrivals,
    count(*) FILTER (WHERE what = 'request') AS requests,
    count(*) FILTER (WHERE what = 'offlined') AS offlined,
    count(*) FILTER (WHERE what = 'hung') AS hung,
    count(*) FILTER (WHERE what = 'reset') AS resets,
    count(*) FILTER (WHERE what = 'oom_kill') AS oom_kills,
    count(*) FILTER (WHERE what = 'pin_failed') AS pin_failures,
    coalesce(sum(amount) FILTER (WHERE what = 'longterm_pin'), 0)::BIGINT AS pin_bytes,
    coalesce(sum(amount) FILTER (WHERE what = 'memory_hotplug'), 0)::BIGINT AS offline_bytes
FROM stepped
JOIN arms USING (arm)
GROUP BY position, arm, time_ns
ORDER BY position, time_ns
