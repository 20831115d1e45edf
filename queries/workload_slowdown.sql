-- workload_slowdown
-- Question: Which applications were slowed because their pages were worked, and by what?
-- Parameters:
--   kind {all, removal, probe} = all: offline attempts of which requests count (pins always do)
-- Columns:
--   arm: policies compared, in the order of the scenario
--   reason: memory_hotplug (offlining), suspended (mappings taken away for it), longterm_pin, unpin, syscall; any: all together
--   workloads count: workloads whose pages were worked
--   slowed_share share: of those that were placed
--   unmaps count: times a folio of theirs was unmapped, moved or not
--   unavailable_ns ns: time in which a folio of theirs was unmapped, summed
--   lifetime_share share: of the time that all placed workloads ran
--   worst_rep: replication of the workload with the largest share of its own time
--   worst_workload: that workload
--   worst_ns ns: how long its pages were unmapped
--   worst_share share: of the time that it ran
--   others_ns ns: of pages that are no workload's: the host's own, or of workloads that have gone
-- Notes:
--   memory_hotplug and suspended, workloads and others together, come to unavailable_ns of
--   offline_work. One folio is unmapped at a time, so an attempt's share in a time is at most one;
--   mappings are suspended together and count one by one. A workload that still runs ran until the
--   last event of its replication. Probes work clones: what they say is what would have been.
WITH counted AS (
    SELECT s.arm, s.rep, s.reason, s.workload, s.unmaps, s.unavailable_ns
    FROM slowdowns AS s
    LEFT JOIN attempts AS a
        ON s.reason IN ('memory_hotplug', 'suspended')
        AND a.arm = s.arm AND a.rep = s.rep AND a.attempt = s.cause
    LEFT JOIN requests AS r
        ON r.arm = a.arm AND r.rep = a.rep AND r.request = a.request
    WHERE a.attempt IS NULL OR $kind = 'all' OR r.kind = $kind
),
named AS (
    SELECT arm, rep, reason, workload, unmaps, unavailable_ns FROM counted
    UNION ALL
    SELECT arm, rep, 'any', workload, unmaps, unavailable_ns FROM counted
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
lived AS (
    SELECT w.arm, w.rep, w.workload, coalesce(w.ended_ns, u.until_ns) - w.placed_ns AS lived_ns
    FROM workloads AS w
    JOIN (SELECT arm, rep, max(time_ns) AS until_ns FROM times GROUP BY ALL) AS u USING (arm, rep)
    WHERE w.placed_ns IS NOT NULL
),
fleet AS (
    SELECT arm, count(*) AS placed, sum(lived_ns) AS lived_ns FROM lived GROUP BY arm
),
by_workload AS (
    SELECT
        n.arm,
        n.reason,
        n.rep,
        n.workload,
        sum(n.unmaps)::BIGINT AS unmaps,
        sum(n.unavailable_ns)::BIGINT AS ns,
        sum(n.unavailable_ns)::BIGINT / nullif(any_value(l.lived_ns), 0) AS share
    FROM named AS n
    LEFT JOIN lived AS l USING (arm, rep, workload)
    GROUP BY n.arm, n.reason, n.rep, n.workload
),
ranked AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY arm, reason
            ORDER BY workload IS NULL, share DESC NULLS LAST, rep, workload
        ) AS rank
    FROM by_workload
)
SELECT
    arm,
    reason,
    count(workload) AS workloads,
    count(workload) / any_value(f.placed) AS slowed_share,
    coalesce(sum(unmaps) FILTER (WHERE workload IS NOT NULL), 0)::BIGINT AS unmaps,
    coalesce(sum(ns) FILTER (WHERE workload IS NOT NULL), 0)::BIGINT AS unavailable_ns,
    coalesce(sum(ns) FILTER (WHERE workload IS NOT NULL), 0)::BIGINT
        / nullif(any_value(f.lived_ns), 0)::BIGINT AS lifetime_share,
    any_value(rep) FILTER (WHERE rank = 1 AND workload IS NOT NULL) AS worst_rep,
    any_value(workload) FILTER (WHERE rank = 1) AS worst_workload,
    any_value(ns) FILTER (WHERE rank = 1 AND workload IS NOT NULL) AS worst_ns,
    any_value(share) FILTER (WHERE rank = 1 AND workload IS NOT NULL) AS worst_share,
    coalesce(sum(ns) FILTER (WHERE workload IS NULL), 0)::BIGINT AS others_ns
FROM ranked
JOIN arms USING (arm)
JOIN fleet AS f USING (arm)
GROUP BY position, arm, reason
ORDER BY position, reason = 'any', unavailable_ns DESC, reason
