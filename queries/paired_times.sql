-- paired_times
-- Question: On the same requests, how much sooner or later offline under one of two arms?
-- Parameters:
--   kind {removal, probe} = probe: which requests count
-- Columns:
--   arm_a: first arm of the pair
--   arm_b: second arm, later in the scenario
--   pairs count: requests both arms have, whose deadline the run lasted to see
--   sooner_ns ns: sum over requests that were offline sooner under arm_b, of how much
--   later_ns ns: sum over requests that were offline later under arm_b, of how much
--   jump_ns ns: sum of squares of these changes over their sum; 0 without any
-- Notes:
--   A request that did not go offline counts with its whole time to the deadline. The changes add
--   up, and vary, as if (sooner_ns + later_ns) / jump_ns requests had changed by jump_ns each.
WITH asked AS (
    SELECT
        arm,
        position,
        rep,
        request,
        CASE WHEN outcome = 'offlined' THEN ended_ns ELSE deadline_ns END - issued_ns AS time_ns,
        coalesce(
            deadline_ns >= min(deadline_ns) FILTER (WHERE outcome = 'censored') OVER (), false
        ) AS cut_short
    FROM requests
    JOIN arms USING (arm)
    WHERE kind = $kind
),
changes AS (
    SELECT
        a.arm AS arm_a,
        b.arm AS arm_b,
        a.position AS position_a,
        b.position AS position_b,
        (b.time_ns - a.time_ns)::HUGEINT AS change_ns
    FROM asked AS a
    JOIN asked AS b
        ON a.rep = b.rep AND a.request = b.request AND a.position < b.position
    WHERE NOT a.cut_short AND NOT b.cut_short
)
SELECT
    arm_a,
    arm_b,
    count(*) AS pairs,
    coalesce(-sum(change_ns) FILTER (WHERE change_ns < 0), 0)::BIGINT AS sooner_ns,
    coalesce(sum(change_ns) FILTER (WHERE change_ns > 0), 0)::BIGINT AS later_ns,
    coalesce(sum(change_ns * change_ns) // nullif(sum(abs(change_ns)), 0), 0)::BIGINT AS jump_ns
FROM changes
GROUP BY arm_a, arm_b, position_a, position_b
ORDER BY position_a, position_b
