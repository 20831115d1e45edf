-- offline_work
-- Question: What work did the offline attempts do, per arm?
-- Parameters:
--   kind {all, removal, probe} = all: attempts of which requests count
-- Columns:
--   arm: policies compared, in the order of the scenario
--   attempts count: calls of offline_pages
--   passes count: scan-and-migrate passes
--   migrated_pages pages: moved away
--   failed_pages pages: failed migrations, each try counted
--   unavailable_ns page-ns: sum over pages of the time they were not mapped
--   running_ns ns: time attempts ran, as far as they had ended
--   endless count: attempts whose loop would never have ended without outside change
SELECT
    arm,
    count(attempt) AS attempts,
    coalesce(sum(passes), 0)::BIGINT AS passes,
    coalesce(sum(migrated_pages), 0)::BIGINT AS migrated_pages,
    coalesce(sum(failed_pages), 0)::BIGINT AS failed_pages,
    coalesce(sum(unavailable_ns), 0)::BIGINT AS unavailable_ns,
    coalesce(sum(end_ns - start_ns), 0)::BIGINT AS running_ns,
    count(*) FILTER (WHERE endless) AS endless
FROM arms
LEFT JOIN (
    SELECT a.*
    FROM attempts AS a
    JOIN requests AS r USING (arm, rep, request)
    WHERE $kind = 'all' OR r.kind = $kind
) AS counted USING (arm)
GROUP BY position, arm
ORDER BY position
