-- paired_outcomes
-- Question: On the same requests, which hung under one of two arms alone?
-- Parameters:
--   kind {all, removal, probe} = probe: which requests count
-- Columns:
--   arm_a: first arm of the pair
--   arm_b: second arm, later in the scenario
--   pairs count: requests both arms have (same replication and request)
--   both_hung count: hung in both arms
--   only_a count: hung in arm_a alone
--   only_b count: hung in arm_b alone
--   neither count: hung in neither
WITH asked AS (
    SELECT arm, position, rep, request, (outcome = 'stuck' OR reset)::BIGINT AS hung
    FROM requests
    JOIN arms USING (arm)
    WHERE $kind = 'all' OR kind = $kind
)
SELECT
    a.arm AS arm_a,
    b.arm AS arm_b,
    count(*) AS pairs,
    sum(a.hung * b.hung)::BIGINT AS both_hung,
    sum(a.hung * (1 - b.hung))::BIGINT AS only_a,
    sum(b.hung * (1 - a.hung))::BIGINT AS only_b,
    sum((1 - a.hung) * (1 - b.hung))::BIGINT AS neither
FROM asked AS a
JOIN asked AS b
    ON a.rep = b.rep AND a.request = b.request AND a.position < b.position
GROUP BY a.arm, b.arm, a.position, b.position
ORDER BY a.position, b.position
