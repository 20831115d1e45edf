-- pin_outcomes
-- Question: How did long-term pins end, and in which zones did their pages land?
-- Columns:
--   arm: policies compared, in the order of the scenario
--   result: ok, or the errno of the pin, spelled
--   pins count: pin calls that ended so
--   workloads count: workloads they belong to
--   pinned_pages pages: pages pinned
--   movable_pages pages: of them, pages pinned in ZONE_MOVABLE
--   kernel_pages pages: of them, pages pinned in kernel zones
--   faulted_pages pages: of them, pages faulted in by the pin
--   migrated_pages pages: pages migrated before the pin
--   failed_pages pages: migrations that failed
WITH calls AS (
    SELECT
        arm,
        rep,
        pin,
        min(workload) AS workload,
        max(errno) AS errno,
        sum(pinned_pages) AS pinned_pages,
        sum(pinned_pages) FILTER (WHERE is_movable(zone)) AS movable_pages,
        sum(faulted_pages) AS faulted_pages,
        sum(migrated_pages) AS migrated_pages,
        sum(failed_pages) AS failed_pages
    FROM pins
    GROUP BY arm, rep, pin
)
SELECT
    arm,
    errno_name(errno) AS result,
    count(*) AS pins,
    count(DISTINCT (rep, workload)) AS workloads,
    sum(pinned_pages)::BIGINT AS pinned_pages,
    sum(coalesce(movable_pages, 0))::BIGINT AS movable_pages,
    sum(pinned_pages - coalesce(movable_pages, 0))::BIGINT AS kernel_pages,
    sum(faulted_pages)::BIGINT AS faulted_pages,
    sum(migrated_pages)::BIGINT AS migrated_pages,
    sum(failed_pages)::BIGINT AS failed_pages
FROM calls
JOIN arms USING (arm)
GROUP BY position, arm, errno
ORDER BY position, errno
