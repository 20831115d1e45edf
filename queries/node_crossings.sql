-- node_crossings
-- Question: What crosses NUMA nodes, and what had no room although its own node had some?
-- Parameters:
--   kind {all, removal, probe} = all: offline attempts of which requests count (pins always do)
-- Columns:
--   arm: policies compared, in the order of the scenario
--   pinned_pages pages: pages pinned by successful long-term pins
--   pinned_off_pages pages: of them on other nodes than the one with most of that workload's
--   pin_pages pages: base pages moved by long-term pins
--   pin_crossed_pages pages: of them to another node: the kernel zones of their own one were full
--   offline_pages pages: base pages moved by offlining
--   offline_crossed_pages pages: of them to another node
--   no_room_requests count: requests with pages that found no room
--   own_room_requests count: of them with room on the block's own node, by the sample before
--   unseen_requests count: of them without a sample before
-- Notes:
--   On hosts with two nodes an offline moves pages to the other node alone, unless the policy is
--   same-node-fallback. Room on the own node: pages above the min marks of the zones the pages may
--   go to, at least a memory block of them, so that they do not all lie in the block itself; as of
--   the last host sample before the attempt ended, or before the deadline of one still running.
WITH moved AS (
    SELECT m.arm, m.reason, m.pages, m.zone_from // 3 <> m.zone_to // 3 AS crosses
    FROM migrations AS m
    LEFT JOIN attempts AS a
        ON m.reason = 'memory_hotplug'
        AND a.arm = m.arm AND a.rep = m.rep AND a.attempt = m.cause
    LEFT JOIN requests AS r
        ON r.arm = a.arm AND r.rep = a.rep AND r.request = a.request
    WHERE m.reason = 'longterm_pin'
        OR (m.reason = 'memory_hotplug' AND ($kind = 'all' OR r.kind = $kind))
),
moves AS (
    SELECT
        arm,
        sum(pages) FILTER (WHERE reason = 'longterm_pin') AS pin_pages,
        sum(pages) FILTER (WHERE reason = 'longterm_pin' AND crosses) AS pin_crossed,
        sum(pages) FILTER (WHERE reason = 'memory_hotplug') AS offline_pages,
        sum(pages) FILTER (WHERE reason = 'memory_hotplug' AND crosses) AS offline_crossed
    FROM moved
    GROUP BY arm
),
per_node AS (
    SELECT arm, rep, workload, zone // 3 AS node, sum(pinned_pages) AS pages
    FROM pins
    WHERE errno = 0 AND zone IS NOT NULL
    GROUP BY arm, rep, workload, node
),
per_workload AS (
    SELECT arm, sum(pages) AS pages, sum(pages) - max(pages) AS off
    FROM per_node
    GROUP BY arm, rep, workload
),
pinned AS (
    SELECT arm, sum(pages) AS pages, sum(off) AS off FROM per_workload GROUP BY arm
),
without_room AS MATERIALIZED (
    SELECT DISTINCT arm, rep, request, attempt, host, zone
    FROM blockers
    WHERE class = 'no_room'
),
-- outer joins: inner ones are put in an order that compares all attempts with all requests first
blocked AS (
    SELECT DISTINCT
        b.arm, b.rep, b.request, b.host, b.zone, h.block_pages,
        coalesce(a.end_ns, r.deadline_ns) AS at_ns
    FROM without_room AS b
    LEFT JOIN attempts AS a ON a.arm = b.arm AND a.rep = b.rep AND a.attempt = b.attempt
    LEFT JOIN requests AS r ON r.arm = b.arm AND r.rep = b.rep AND r.request = b.request
    LEFT JOIN hosts AS h ON h.arm = b.arm AND h.rep = b.rep AND h.host = b.host
    WHERE $kind = 'all' OR r.kind = $kind
),
sampled AS (
    SELECT DISTINCT arm, rep, host, time_ns FROM host_samples
),
looked AS (
    SELECT b.*, s.time_ns AS seen_ns
    FROM blocked AS b
    ASOF LEFT JOIN sampled AS s
        ON s.arm = b.arm AND s.rep = b.rep AND s.host = b.host AND s.time_ns <= b.at_ns
),
found AS (
    SELECT
        k.arm, k.rep, k.request, k.zone, k.at_ns,
        k.seen_ns IS NOT NULL AS seen,
        coalesce(sum(greatest(s.free_pages - s.min_pages, 0)), 0) >= any_value(k.block_pages) AS own
    FROM looked AS k
    LEFT JOIN host_samples AS s
        ON s.arm = k.arm AND s.rep = k.rep AND s.host = k.host AND s.time_ns = k.seen_ns
        AND s.zone // 3 = k.zone // 3 AND s.zone <= k.zone
    GROUP BY k.arm, k.rep, k.request, k.zone, k.at_ns, k.seen_ns
),
per_request AS (
    SELECT arm, bool_or(own) AS own, bool_or(seen) AS seen
    FROM found
    GROUP BY arm, rep, request
),
no_room AS (
    SELECT
        arm,
        count(*) AS requests,
        count(*) FILTER (WHERE own) AS own,
        count(*) FILTER (WHERE NOT seen) AS unseen
    FROM per_request
    GROUP BY arm
)
SELECT
    arms.arm,
    coalesce(pinned.pages, 0)::BIGINT AS pinned_pages,
    coalesce(pinned.off, 0)::BIGINT AS pinned_off_pages,
    coalesce(moves.pin_pages, 0)::BIGINT AS pin_pages,
    coalesce(moves.pin_crossed, 0)::BIGINT AS pin_crossed_pages,
    coalesce(moves.offline_pages, 0)::BIGINT AS offline_pages,
    coalesce(moves.offline_crossed, 0)::BIGINT AS offline_crossed_pages,
    coalesce(no_room.requests, 0) AS no_room_requests,
    coalesce(no_room.own, 0) AS own_room_requests,
    coalesce(no_room.unseen, 0) AS unseen_requests
FROM arms
LEFT JOIN moves ON moves.arm = arms.arm
LEFT JOIN pinned ON pinned.arm = arms.arm
LEFT JOIN no_room ON no_room.arm = arms.arm
ORDER BY arms.position
