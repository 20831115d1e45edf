-- damage_map
-- Question: On which hosts does the damage sit, and when was it done?
-- Parameters:
--   host_rows int = 24: groups of consecutive hosts
--   steps int = 36: time steps from the start of the run to the last sample, request or incident
-- Columns:
--   arm: policies compared, in the order of the scenario
--   first_host id: first host of the group
--   last_host id: last host of the group
--   time_ns ns: start of the step
--   step_ns ns: width of the step
--   damage count: hung + oom_kills + pin_failures + panics
--   hung count: requests that hung: stuck at their deadline in the step, or host reset
--   oom_kills count: processes killed for want of memory
--   pin_failures count: pins that failed
--   panics count: kernel panics
-- Notes:
--   Cells without damage are left out. All replications together. A hung probe counts: it is a
--   removal that would have hung. A watchdog's reset counts once, with its request.
WITH events AS (
    SELECT
        arm,
        host,
        CASE WHEN outcome = 'stuck' THEN deadline_ns ELSE coalesce(ended_ns, deadline_ns) END
            AS at_ns,
        'hung' AS what
    FROM requests
    WHERE (outcome = 'stuck' OR reset) AND host IS NOT NULL
    UNION ALL
    SELECT arm, host, time_ns, kind
    FROM incidents
    WHERE kind <> 'reset'
),
span AS (
    SELECT
        greatest(max(at_ns), 0) // $steps + 1 AS step_ns,
        (SELECT max(host) FROM hosts) AS final_host,
        (SELECT max(host) FROM hosts) // $host_rows + 1 AS group_hosts
    FROM (
        SELECT at_ns FROM events
        UNION ALL SELECT issued_ns FROM requests
        UNION ALL SELECT time_ns FROM host_samples
    )
),
placed AS (
    SELECT
        arm,
        host // group_hosts * group_hosts AS first_host,
        least((host // group_hosts + 1) * group_hosts - 1, final_host) AS last_host,
        at_ns // step_ns * step_ns AS time_ns,
        step_ns,
        what
    FROM events
    CROSS JOIN span
)
SELECT
    arm,
    first_host,
    last_host,
    time_ns,
    step_ns,
    count(*) AS damage,
    count(*) FILTER (WHERE what = 'hung') AS hung,
    count(*) FILTER (WHERE what = 'oom_kill') AS oom_kills,
    count(*) FILTER (WHERE what = 'pin_failed') AS pin_failures,
    count(*) FILTER (WHERE what = 'panic') AS panics
FROM placed
JOIN arms USING (arm)
GROUP BY position, arm, first_host, last_host, time_ns, step_ns
ORDER BY position, first_host, time_ns
