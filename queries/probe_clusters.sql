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
--   timed count: probes whose time counts: those that the end of the run cut short in no arm
--   time_ns ns: sum over them of the time to offline, up to the bound
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
        bool_or(outcome = 'censored') OVER (PARTITION BY rep, request) AS cut_short
    FROM requests
    WHERE kind = 'probe'
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
    coalesce(sum(time_ns) FILTER (WHERE NOT cut_short), 0)::BIGINT AS time_ns
FROM asked
JOIN arms USING (arm)
LEFT JOIN tries USING (arm, rep, request)
LEFT JOIN moves USING (arm, rep, request)
GROUP BY position, arm, rep, host
ORDER BY position, rep, host
