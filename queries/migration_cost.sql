-- migration_cost
-- Question: How much is migrated when pages are pinned, and how much when memory goes offline?
-- Parameters:
--   kind {all, removal, probe} = all: offline attempts of which requests count (pins always do)
-- Columns:
--   arm: policies compared, in the order of the scenario
--   pin_folios count: folios moved by long-term pins (enum migrate_reason longterm_pin)
--   pin_pages pages: base pages moved by long-term pins
--   pin_bytes bytes: bytes moved by long-term pins
--   pin_ns ns: time of those moves, waited for by the pinning task
--   offline_folios count: folios moved by offlining (enum migrate_reason memory_hotplug)
--   offline_pages pages: base pages moved by offlining
--   offline_bytes bytes: bytes moved by offlining
--   offline_ns ns: time of those moves
--   total_bytes bytes: pin_bytes + offline_bytes
WITH moved AS (
    SELECT m.arm, m.reason, m.folios, m.pages, m.bytes, m.latency_ns
    FROM migrations AS m
    LEFT JOIN attempts AS a
        ON m.reason = 'memory_hotplug'
        AND a.arm = m.arm AND a.rep = m.rep AND a.attempt = m.cause
    LEFT JOIN requests AS r
        ON r.arm = a.arm AND r.rep = a.rep AND r.request = a.request
    WHERE m.reason = 'longterm_pin'
        OR (m.reason = 'memory_hotplug' AND ($kind = 'all' OR r.kind = $kind))
)
SELECT
    arm,
    coalesce(sum(folios) FILTER (WHERE reason = 'longterm_pin'), 0)::BIGINT AS pin_folios,
    coalesce(sum(pages) FILTER (WHERE reason = 'longterm_pin'), 0)::BIGINT AS pin_pages,
    coalesce(sum(bytes) FILTER (WHERE reason = 'longterm_pin'), 0)::BIGINT AS pin_bytes,
    coalesce(sum(latency_ns) FILTER (WHERE reason = 'longterm_pin'), 0)::BIGINT AS pin_ns,
    coalesce(sum(folios) FILTER (WHERE reason = 'memory_hotplug'), 0)::BIGINT AS offline_folios,
    coalesce(sum(pages) FILTER (WHERE reason = 'memory_hotplug'), 0)::BIGINT AS offline_pages,
    coalesce(sum(bytes) FILTER (WHERE reason = 'memory_hotplug'), 0)::BIGINT AS offline_bytes,
    coalesce(sum(latency_ns) FILTER (WHERE reason = 'memory_hotplug'), 0)::BIGINT AS offline_ns,
    coalesce(sum(bytes), 0)::BIGINT AS total_bytes
FROM arms
LEFT JOIN moved USING (arm)
GROUP BY position, arm
ORDER BY position
