-- hang_rate
-- Question: Which share of the requests hung, per arm?
-- Parameters:
--   kind {all, removal, probe} = all: which requests count, real ones, those on clones, or both
-- Columns:
--   arm: policies compared, in the order of the scenario
--   requests count: requests issued
--   hung count: requests that were stuck at their deadline or whose host a watchdog reset
--   hang_rate share: hung / requests; null without requests
--   low share: lower end of the Wilson 95 % interval
--   high share: upper end of the Wilson 95 % interval
-- Notes:
--   Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
--   The interval takes requests as independent; requests on one host are not, so between arms use
--   paired_probes (probes) or hang_rate_by_replication (removals).
WITH counted AS (
    SELECT
        arm,
        count(*) AS requests,
        count(*) FILTER (WHERE outcome = 'stuck' OR reset) AS hung
    FROM requests
    WHERE $kind = 'all' OR kind = $kind
    GROUP BY arm
),
rated AS (
    SELECT
        position,
        arm,
        coalesce(requests, 0) AS requests,
        coalesce(hung, 0) AS hung,
        1.959963984540054::DOUBLE AS z
    FROM arms
    LEFT JOIN counted USING (arm)
)
SELECT
    arm,
    requests,
    hung,
    hung / nullif(requests, 0) AS hang_rate,
    CASE
        WHEN requests = 0 THEN NULL
        WHEN hung = 0 THEN 0.0::DOUBLE
        ELSE (hung + z * z / 2 - z * sqrt(hung * (requests - hung) / requests + z * z / 4))
            / (requests + z * z)
    END AS low,
    CASE
        WHEN requests = 0 THEN NULL
        WHEN hung = requests THEN 1.0::DOUBLE
        ELSE (hung + z * z / 2 + z * sqrt(hung * (requests - hung) / requests + z * z / 4))
            / (requests + z * z)
    END AS high
FROM rated
ORDER BY position
