-- pin_latency
-- Question: How long do callers wait for a long-term pin, and how much of it is migration?
-- Columns:
--   arm: policies compared, in the order of the scenario
--   pins count: pin calls
--   p50_ns ns: median time a caller waited
--   p99_ns ns: 99 % quantile
--   max_ns ns: longest
--   migrating count: pin calls that had to migrate pages first
--   added_p50_ns ns: median of the migration time inside a pin, over all pins
--   added_p99_ns ns: 99 % quantile of it
--   added_max_ns ns: longest
--   added_total_ns ns: sum of it
WITH calls AS (
    SELECT arm, rep, pin, sum(latency_ns)::BIGINT AS latency_ns
    FROM pins
    GROUP BY arm, rep, pin
),
moves AS (
    SELECT arm, rep, cause AS pin, sum(latency_ns)::BIGINT AS added_ns
    FROM migrations
    WHERE reason = 'longterm_pin'
    GROUP BY arm, rep, cause
),
ranked AS (
    SELECT
        c.arm,
        c.latency_ns,
        m.added_ns IS NOT NULL AS migrates,
        coalesce(m.added_ns, 0) AS added_ns,
        row_number() OVER (PARTITION BY c.arm ORDER BY c.latency_ns) AS latency_rank,
        row_number() OVER (PARTITION BY c.arm ORDER BY coalesce(m.added_ns, 0)) AS added_rank,
        count(*) OVER (PARTITION BY c.arm) AS n
    FROM calls AS c
    LEFT JOIN moves AS m USING (arm, rep, pin)
)
SELECT
    arm,
    count(n) AS pins,
    min(latency_ns) FILTER (WHERE 100 * latency_rank >= 50 * n) AS p50_ns,
    min(latency_ns) FILTER (WHERE 100 * latency_rank >= 99 * n) AS p99_ns,
    max(latency_ns) AS max_ns,
    count(*) FILTER (WHERE migrates) AS migrating,
    min(added_ns) FILTER (WHERE 100 * added_rank >= 50 * n) AS added_p50_ns,
    min(added_ns) FILTER (WHERE 100 * added_rank >= 99 * n) AS added_p99_ns,
    max(added_ns) AS added_max_ns,
    coalesce(sum(added_ns), 0)::BIGINT AS added_total_ns
FROM arms
LEFT JOIN ranked USING (arm)
GROUP BY position, arm
ORDER BY position
