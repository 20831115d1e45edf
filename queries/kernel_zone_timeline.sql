-- kernel_zone_timeline
-- Question: How does the room left in the kernel zones change over time?
-- Parameters:
--   steps int = 48: time steps from the start of the run to the last sample
-- Columns:
--   arm: policies compared, in the order of the scenario
--   time_ns ns: first sample of the step
--   hosts count: hosts sampled in the step, summed over replications
--   minimum_pages pages: head-room of the host that had least
--   p10_share share: 10 % quantile over samples of head-room / managed pages of the kernel zones
--   median_share share: median of it
--   minimum_share share: smallest of it
-- Notes:
--   Head-room as in kernel_zone_headroom: free + page cache - min watermark, never below 0.
WITH per_host AS (
    SELECT
        arm,
        rep,
        host,
        time_ns,
        greatest(sum(free_pages + file_pages - min_pages), 0)::BIGINT AS room,
        sum(managed_pages)::BIGINT AS managed
    FROM host_samples
    WHERE NOT is_movable(zone)
    GROUP BY arm, rep, host, time_ns
),
span AS (
    SELECT greatest(max(time_ns), 0) // $steps + 1 AS step_ns FROM per_host
),
ranked AS (
    SELECT
        *,
        time_ns // step_ns AS step,
        room / nullif(managed, 0) AS share,
        row_number() OVER (
            PARTITION BY arm, time_ns // step_ns ORDER BY room / nullif(managed, 0)
        ) AS rank,
        count(*) OVER (PARTITION BY arm, time_ns // step_ns) AS n
    FROM per_host, span
    WHERE managed > 0
)
SELECT
    arm,
    min(time_ns) AS time_ns,
    count(DISTINCT (rep, host)) AS hosts,
    min(room) AS minimum_pages,
    min(share) FILTER (WHERE 100 * rank >= 10 * n) AS p10_share,
    min(share) FILTER (WHERE 100 * rank >= 50 * n) AS median_share,
    min(share) AS minimum_share
FROM ranked
JOIN arms USING (arm)
GROUP BY position, arm, step
ORDER BY position, time_ns
