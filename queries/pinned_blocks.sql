-- pinned_blocks
-- Question: How much of ZONE_MOVABLE can not be removed because of pins, at the last sample?
-- Columns:
--   arm: policies compared, in the order of the scenario
--   hosts count: hosts with memory in ZONE_MOVABLE, summed over replications
--   hosts_pinned count: of them, hosts with a pinned page there
--   blocks_online blocks: memory blocks online in ZONE_MOVABLE
--   blocks_pinned blocks: of them, blocks that hold a pinned page
--   pinned_share share: blocks_pinned / blocks_online
--   pinned_pages pages: pages pinned there
WITH latest AS (
    SELECT arm, rep, host, max(time_ns) AS time_ns
    FROM host_samples
    GROUP BY arm, rep, host
),
per_host AS (
    SELECT
        s.arm,
        s.rep,
        s.host,
        sum(s.blocks_online) AS blocks_online,
        sum(s.blocks_pinned) AS blocks_pinned,
        sum(s.pinned_pages) AS pinned_pages
    FROM host_samples AS s
    JOIN latest USING (arm, rep, host, time_ns)
    WHERE is_movable(s.zone)
    GROUP BY s.arm, s.rep, s.host
    HAVING sum(s.blocks_online) > 0
)
SELECT
    arm,
    count(host) AS hosts,
    count(*) FILTER (WHERE pinned_pages > 0) AS hosts_pinned,
    coalesce(sum(blocks_online), 0)::BIGINT AS blocks_online,
    coalesce(sum(blocks_pinned), 0)::BIGINT AS blocks_pinned,
    sum(blocks_pinned)::BIGINT / nullif(sum(blocks_online)::BIGINT, 0) AS pinned_share,
    coalesce(sum(pinned_pages), 0)::BIGINT AS pinned_pages
FROM arms
LEFT JOIN per_host USING (arm)
GROUP BY position, arm
ORDER BY position
