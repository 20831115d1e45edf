-- slowed_workloads
-- Question: Whose pages were away longest while somebody worked them?
-- Parameters:
--   kind {all, removal, probe} = all: offline attempts of which requests count (pins always do)
--   limit int = 20: how many to list per arm
-- Columns:
--   arm: policies compared, in the order of the scenario
--   rep: replication
--   workload: workload
--   kind: its kind in the scenario
--   host: last host it ran on
--   memory_pages pages: memory asked for
--   flows count: network flows it serves
--   attempts count: offline attempts that worked its pages
--   unmaps count: times a folio of it was unmapped, moved or not
--   unavailable_ns ns: time in which a folio of it was unmapped, summed
--   offline_ns ns: of it, by offlining
--   suspended_ns ns: of it, mappings taken away for the time of an offline
--   pin_ns ns: of it, by long-term pins: its own, and compaction for those of others
--   share share: of the time that it ran (one that still runs: until the last event of its replication)
-- Notes:
--   Probes work clones: what they say is what would have been.
WITH counted AS (
    SELECT s.*, a.attempt
    FROM slowdowns AS s
    LEFT JOIN attempts AS a
        ON s.reason IN ('memory_hotplug', 'suspended')
        AND a.arm = s.arm AND a.rep = s.rep AND a.attempt = s.cause
    LEFT JOIN requests AS r
        ON r.arm = a.arm AND r.rep = a.rep AND r.request = a.request
    WHERE s.workload IS NOT NULL AND (a.attempt IS NULL OR $kind = 'all' OR r.kind = $kind)
),
summed AS (
    SELECT
        arm,
        rep,
        workload,
        count(DISTINCT attempt) AS attempts,
        sum(unmaps)::BIGINT AS unmaps,
        sum(unavailable_ns)::BIGINT AS unavailable_ns,
        coalesce(sum(unavailable_ns) FILTER (WHERE reason = 'memory_hotplug'), 0)::BIGINT
            AS offline_ns,
        coalesce(sum(unavailable_ns) FILTER (WHERE reason = 'suspended'), 0)::BIGINT
            AS suspended_ns,
        coalesce(sum(unavailable_ns) FILTER (WHERE reason = 'longterm_pin'), 0)::BIGINT AS pin_ns
    FROM counted
    GROUP BY arm, rep, workload
),
ranked AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY arm ORDER BY unavailable_ns DESC, rep, workload
        ) AS rank
    FROM summed
),
times AS (
    SELECT arm, rep, max(ended_ns) AS time_ns FROM workloads GROUP BY ALL
    UNION ALL
    SELECT arm, rep, max(greatest(issued_ns, ended_ns)) FROM requests GROUP BY ALL
    UNION ALL
    SELECT arm, rep, max(time_ns) FROM slowdowns GROUP BY ALL
    UNION ALL
    SELECT arm, rep, max(time_ns) FROM host_samples GROUP BY ALL
),
untils AS (
    SELECT arm, rep, max(time_ns) AS until_ns FROM times GROUP BY ALL
)
SELECT
    s.arm,
    s.rep,
    s.workload,
    w.kind,
    w.host,
    w.memory_pages,
    w.flows,
    s.attempts,
    s.unmaps,
    s.unavailable_ns,
    s.offline_ns,
    s.suspended_ns,
    s.pin_ns,
    s.unavailable_ns / nullif(coalesce(w.ended_ns, u.until_ns) - w.placed_ns, 0) AS share
FROM ranked AS s
JOIN arms USING (arm)
JOIN workloads AS w ON w.arm = s.arm AND w.rep = s.rep AND w.workload = s.workload
JOIN untils AS u ON u.arm = s.arm AND u.rep = s.rep
WHERE s.rank <= $limit
ORDER BY arms.position, s.rank
