-- guardrails
-- Question: Which events nobody asked for happened, per arm?
-- Columns:
--   arm: policies compared, in the order of the scenario
--   resets count: hosts reset by a watchdog
--   panics count: kernel panics
--   oom_kills count: processes killed for want of memory
--   pin_failures count: pins that failed
--   hosts count: hosts with any of these, summed over replications
SELECT
    arm,
    count(*) FILTER (WHERE kind = 'reset') AS resets,
    count(*) FILTER (WHERE kind = 'panic') AS panics,
    count(*) FILTER (WHERE kind = 'oom_kill') AS oom_kills,
    count(*) FILTER (WHERE kind = 'pin_failed') AS pin_failures,
    count(DISTINCT (rep, host)) FILTER (WHERE kind IS NOT NULL) AS hosts
FROM arms
LEFT JOIN incidents USING (arm)
GROUP BY position, arm
ORDER BY position
