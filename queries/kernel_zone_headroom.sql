-- kernel_zone_headroom
-- Question: How close do the kernel zones come to running out?
-- Columns:
--   arm: policies compared, in the order of the scenario
--   hosts count: hosts sampled, summed over replications
--   samples count: (host, time) samples
--   minimum_pages pages: smallest head-room seen
--   p01_pages pages: 1 % quantile of the head-room
--   median_pages pages: median head-room
--   minimum_share share: smallest head-room / managed pages of the kernel zones
--   median_share share: median of it
--   exhausted count: samples without any head-room
--   pinned_pages pages: most pages pinned in the kernel zones of one host
-- Notes:
--   Head-room of a host at a time = free + page cache - min watermark, summed over its kernel zones
--   (DMA32, Normal) and never below 0: what kernel allocations and pins can still get by reclaim.
WITH per_host AS (
    SELECT
        arm,
        rep,
        host,
        time_ns,
        greatest(sum(free_pages + file_pages - min_pages), 0)::BIGINT AS room,
        sum(managed_pages)::BIGINT AS managed,
        sum(pinned_pages)::BIGINT AS pinned
    FROM host_samples
    WHERE NOT is_movable(zone)
    GROUP BY arm, rep, host, time_ns
),
ranked AS (
    SELECT
        *,
        room / nullif(managed, 0) AS share,
        row_number() OVER (PARTITION BY arm ORDER BY room) AS room_rank,
        row_number() OVER (PARTITION BY arm ORDER BY room / nullif(managed, 0)) AS share_rank,
        count(*) OVER (PARTITION BY arm) AS n
    FROM per_host
)
SELECT
    arm,
    count(DISTINCT (rep, host)) FILTER (WHERE n IS NOT NULL) AS hosts,
    count(n) AS samples,
    min(room) AS minimum_pages,
    min(room) FILTER (WHERE 100 * room_rank >= n) AS p01_pages,
    min(room) FILTER (WHERE 100 * room_rank >= 50 * n) AS median_pages,
    min(share) AS minimum_share,
    min(share) FILTER (WHERE 100 * share_rank >= 50 * n) AS median_share,
    count(*) FILTER (WHERE room = 0) AS exhausted,
    max(pinned) AS pinned_pages
FROM arms
LEFT JOIN ranked USING (arm)
GROUP BY position, arm
ORDER BY position
