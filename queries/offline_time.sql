-- offline_time
-- Question: How long does it take to get the memory offline, per arm?
-- Parameters:
--   kind {all, removal, probe} = all: which requests count, real ones, those on clones, or both
-- Columns:
--   arm: policies compared, in the order of the scenario
--   requests count: requests with a known end: all but withdrawn and censored ones
--   offlined count: of them, those that went offline
--   beyond count: of them, those that did not by their deadline: right-censored there
--   left_out count: withdrawn and censored requests, not in requests
--   p50_ns ns: median time from issue to offline; null: lies beyond the deadline
--   p90_ns ns: 90 % quantile; null: lies beyond the deadline
--   p99_ns ns: 99 % quantile; null: lies beyond the deadline
--   longest_ns ns: longest time of those that went offline
-- Notes:
--   Quantiles are over all requests with a known end. One that was refused, gave up, hung or lost
--   its host counts as later than any time seen, so a policy can not look fast by refusing.
WITH timed AS (
    SELECT
        arm,
        outcome IN ('withdrawn', 'censored') AS left_out,
        CASE WHEN outcome = 'offlined' THEN ended_ns - issued_ns END AS time_ns
    FROM requests
    WHERE $kind = 'all' OR kind = $kind
),
ranked AS (
    SELECT
        arm,
        coalesce(time_ns, 9223372036854775807) AS time_ns,
        row_number() OVER (
            PARTITION BY arm ORDER BY coalesce(time_ns, 9223372036854775807)
        ) AS rank,
        count(*) OVER (PARTITION BY arm) AS n
    FROM timed
    WHERE NOT left_out
),
quantiles AS (
    SELECT
        arm,
        nullif(min(time_ns) FILTER (WHERE 100 * rank >= 50 * n), 9223372036854775807) AS p50_ns,
        nullif(min(time_ns) FILTER (WHERE 100 * rank >= 90 * n), 9223372036854775807) AS p90_ns,
        nullif(min(time_ns) FILTER (WHERE 100 * rank >= 99 * n), 9223372036854775807) AS p99_ns
    FROM ranked
    GROUP BY arm
),
counted AS (
    SELECT
        arm,
        count(*) FILTER (WHERE NOT left_out) AS requests,
        count(time_ns) AS offlined,
        count(*) FILTER (WHERE NOT left_out AND time_ns IS NULL) AS beyond,
        count(*) FILTER (WHERE left_out) AS left_out,
        max(time_ns) AS longest_ns
    FROM timed
    GROUP BY arm
)
SELECT
    arm,
    coalesce(requests, 0) AS requests,
    coalesce(offlined, 0) AS offlined,
    coalesce(beyond, 0) AS beyond,
    coalesce(left_out, 0) AS left_out,
    p50_ns,
    p90_ns,
    p99_ns,
    longest_ns
FROM arms
LEFT JOIN counted USING (arm)
LEFT JOIN quantiles USING (arm)
ORDER BY position
