-- blocked_by
-- Question: What kept memory from going offline?
-- Parameters:
--   kind {all, removal, probe} = all: which requests count, real ones, those on clones, or both
-- Columns:
--   arm: policies compared, in the order of the scenario
--   class: long-term pin, short reference, no room, hugetlb shuttle, kernel-zone pin, unmovable or reserved hugetlb
--   path: fault path that put the pages there; null for kernel memory
--   requests count: requests with such a blocker
--   attempts count: attempts with such a blocker
--   hosts count: hosts, summed over replications
--   blocks blocks: memory blocks, summed over hosts
--   workloads count: workloads whose pages they are
--   pages pages: pages of the blockers, each run counted once per request
-- Notes:
--   A request can have blockers of several classes, so counts may exceed the requests of an arm.
WITH runs AS (
    SELECT
        b.arm,
        b.rep,
        b.request,
        b.host,
        b.block,
        b.class,
        b.path,
        b.pfn_first,
        min(b.workload) AS workload,
        max(b.pages) AS pages
    FROM blockers AS b
    JOIN requests AS r USING (arm, rep, request)
    WHERE $kind = 'all' OR r.kind = $kind
    GROUP BY b.arm, b.rep, b.request, b.host, b.block, b.class, b.path, b.pfn_first
),
tried AS (
    SELECT b.arm, b.class, b.path, count(DISTINCT (b.rep, b.attempt)) AS attempts
    FROM blockers AS b
    JOIN requests AS r USING (arm, rep, request)
    WHERE $kind = 'all' OR r.kind = $kind
    GROUP BY b.arm, b.class, b.path
)
SELECT
    runs.arm,
    runs.class,
    runs.path,
    count(DISTINCT (runs.rep, runs.request)) AS requests,
    min(tried.attempts) AS attempts,
    count(DISTINCT (runs.rep, runs.host)) AS hosts,
    count(DISTINCT (runs.rep, runs.host, runs.block)) AS blocks,
    count(DISTINCT (runs.rep, runs.workload)) FILTER (WHERE runs.workload IS NOT NULL) AS workloads,
    sum(runs.pages)::BIGINT AS pages
FROM runs
JOIN arms USING (arm)
JOIN tried
    ON tried.arm = runs.arm AND tried.class = runs.class
    AND tried.path IS NOT DISTINCT FROM runs.path
GROUP BY arms.position, runs.arm, runs.class, runs.path
ORDER BY arms.position, requests DESC, runs.class, runs.path NULLS LAST
