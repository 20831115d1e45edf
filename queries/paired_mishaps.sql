-- paired_mishaps
-- Question: Which workloads failed to pin, or were killed, under one of two arms alone?
-- Parameters:
--   kind {pin_failed, oom_kill} = pin_failed: what befell them
-- Columns:
--   arm_a: first arm of the pair
--   arm_b: second arm, later in the scenario
--   pairs count: workloads both arms have (same replication and workload)
--   both_hit count: befallen in both arms
--   only_a count: befallen in arm_a alone
--   only_b count: befallen in arm_b alone
--   neither count: befallen in neither
-- Notes:
--   A workload counts once, however often it happened to it. What befalls one workload may change
--   the lot of others, so these counts are shown, and tests go by whole replications.
WITH hit AS (
    SELECT DISTINCT arm, rep, workload
    FROM incidents
    WHERE kind = $kind AND workload IS NOT NULL
),
asked AS (
    SELECT arm, position, rep, workload, (hit.workload IS NOT NULL)::BIGINT AS hit
    FROM workloads
    JOIN arms USING (arm)
    LEFT JOIN hit USING (arm, rep, workload)
)
SELECT
    a.arm AS arm_a,
    b.arm AS arm_b,
    count(*) AS pairs,
    sum(a.hit * b.hit)::BIGINT AS both_hit,
    sum(a.hit * (1 - b.hit))::BIGINT AS only_a,
    sum(b.hit * (1 - a.hit))::BIGINT AS only_b,
    sum((1 - a.hit) * (1 - b.hit))::BIGINT AS neither
FROM asked AS a
JOIN asked AS b
    ON a.rep = b.rep AND a.workload = b.workload AND a.position < b.position
GROUP BY a.arm, b.arm, a.position, b.position
ORDER BY a.position, b.position
