-- paired_probes
-- Question: On the same probes, which of two arms hangs more often?
-- Columns:
--   arm_a: first arm of the pair
--   arm_b: second arm, later in the scenario
--   pairs count: probes both arms have (same replication and request)
--   hosts count: hosts they are on
--   both_hung count: hung in both arms
--   only_a count: hung in arm_a alone
--   only_b count: hung in arm_b alone
--   neither count: hung in neither
--   difference share: hang rate of arm_b minus hang rate of arm_a
--   std_error share: standard error of the difference, clustered by host; null with one host
-- Notes:
--   With s = hung_b - hung_a summed and n = probes counted per host, over G hosts:
--   var = G / (G - 1) * sum((s - n * difference)^2) / pairs^2
--   (linearised ratio estimator; Cameron and Miller, "A Practitioner's Guide to Cluster-Robust
--   Inference", J. Human Resources 50 (2015)). All sums are of integers.
WITH probes AS (
    SELECT arm, position, rep, request, host, (outcome = 'stuck' OR reset)::BIGINT AS hung
    FROM requests
    JOIN arms USING (arm)
    WHERE kind = 'probe'
),
per_host AS (
    SELECT
        a.arm AS arm_a,
        b.arm AS arm_b,
        a.position AS position_a,
        b.position AS position_b,
        a.host,
        count(*) AS n,
        sum(a.hung * b.hung)::BIGINT AS both_hung,
        sum(a.hung * (1 - b.hung))::BIGINT AS only_a,
        sum(b.hung * (1 - a.hung))::BIGINT AS only_b,
        sum(b.hung - a.hung)::BIGINT AS s
    FROM probes AS a
    JOIN probes AS b
        ON a.rep = b.rep AND a.request = b.request AND a.position < b.position
    GROUP BY ALL
),
sums AS (
    SELECT
        arm_a,
        arm_b,
        position_a,
        position_b,
        sum(n)::BIGINT AS pairs,
        count(*) AS hosts,
        sum(both_hung)::BIGINT AS both_hung,
        sum(only_a)::BIGINT AS only_a,
        sum(only_b)::BIGINT AS only_b,
        sum(s)::HUGEINT AS s,
        sum(s * s)::HUGEINT AS ss,
        sum(s * n)::HUGEINT AS sn,
        sum(n * n)::HUGEINT AS nn
    FROM per_host
    GROUP BY ALL
)
SELECT
    arm_a,
    arm_b,
    pairs,
    hosts,
    both_hung,
    only_a,
    only_b,
    pairs - both_hung - only_a - only_b AS neither,
    (only_b - only_a) / pairs AS difference,
    CASE
        WHEN hosts > 1
            THEN sqrt(
                (hosts / (hosts - 1))
                * (pairs * pairs * ss - 2 * s * pairs * sn + s * s * nn)::DOUBLE
            ) / (pairs::DOUBLE * pairs)
    END AS std_error
FROM sums
ORDER BY position_a, position_b
