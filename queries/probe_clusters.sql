-- probe_clusters
-- Question: What did the probes of each host come to, host by host?
-- Columns:
--   arm: policies compared, in the order of the scenario
--   rep: replication
--   host: host whose clones were probed
--   requests count: probes of the host
--   hung count: probes that were stuck at their bound
--   offline_bytes bytes: moved by their offline attempts
--   offline_ns ns: time of those moves
--   unavailable_ns page-ns: sum over pages of the time they were not mapped
--   timed count: probes whose time counts: those whose deadline the run lasted to see
--   time_ns ns: sum over them of the time to offline, up to the bound
--   slow count: of them, those slower than nine of ten probes of the first arm, or never offline
-- Notes:
--   A host of a replication is what comparisons of probes take as one unit: its probes meet the
--   same memory. A probe that did not go offline counts with its whole bound.
WITH asked AS (
    SELECT
        arm,
        rep,
        request,
        host,
        outcome = 'stuck' OR reset AS hung,
        CASE WHEN outcome = 'offlined' THEN ended_ns ELSE deadline_ns END - issued_ns AS time_ns,
        outcome = 'offlined' AS is_offline,
        coalesce(
            deadline_ns >= min(deadline_ns) FILTER (WHERE outcome = 'censored') OVER (), false
        ) AS cut_short
    FROM requests
    WHERE kind = 'probe'
),
ranked AS (
    SELECT
        time_ns,
        row_number() OVER (ORDER BY time_ns) AS rank,
        count(*) OVER () AS n
    FROM asked
    JOIN arms USING (arm)
    WHERE position = 0 AND NOT cut_short
),
yardstick AS (
    SELECT min(time_ns) FILTER (WHERE 10 * rank >= 9 * n) AS slow_ns
    FROM ranked
),
tries AS (
    SELECT arm, rep, request, sum(unavailable_ns) AS unavailable_ns
    FROM attempts
    GROUP BY arm, rep, request
),
moves AS (
    SELECT
        m.arm, m.rep, a.request, sum(m.bytes) AS bytes, sum(m.latency_ns) AS latency_ns
    FROM migrations AS m
    JOIN attempts AS a ON a.arm = m.arm AND a.rep = m.rep AND a.attempt = m.cause
    WHERE m.reason = 'memory_hotplug'
    GROUP BY m.arm, m.rep, a.request
)
SELECT
    arm,
    rep,
    host,
    count(*) AS requests,
    count(*) FILTER (WHERE hung) AS hung,
    coalesce(sum(bytes), 0)::BIGINT AS offline_bytes,
    coalesce(sum(latency_ns), 0)::BIGINT AS offline_ns,
    coalesce(sum(unavailable_ns), 0)::BIGINT AS unavailable_ns,
    count(*) FILTER (WHERE NOT cut_short) AS timed,
    coalesce(sum(time_ns) FILTER (WHERE NOT cut_short), 0)::BIGINT AS time_ns,
    count(*) FILTER (WHERE NOT cut_short AND (time_ns > slow_ns OR NOT is_offline)) AS slow
FROM asked
JOIN arms USING (arm)
CROSS JOIN yardstick
LEFT JOIN tries USING (arm, rep, request)
LEFT JOIN moves USING (arm, rep, request)
GROUP BY position, arm, rep, host
ORDER BY position, rep, host
