-- hang_rate_by_replication
-- Question: How much does the hang rate vary between replications?
-- Parameters:
--   kind {all, removal, probe} = removal: which requests count
-- Columns:
--   arm: policies compared, in the order of the scenario
--   rep: replication, the unit of comparison of a campaign
--   requests count: requests issued
--   hung count: requests that were stuck at their deadline or whose host a watchdog reset
--   hang_rate share: hung / requests; null without requests
WITH counted AS (
    SELECT
        arm,
        rep,
        count(*) AS requests,
        count(*) FILTER (WHERE outcome = 'stuck' OR reset) AS hung
    FROM requests
    WHERE $kind = 'all' OR kind = $kind
    GROUP BY arm, rep
)
SELECT
    arm,
    rep,
    coalesce(requests, 0) AS requests,
    coalesce(hung, 0) AS hung,
    hung / nullif(requests, 0) AS hang_rate
FROM units
JOIN arms USING (arm)
LEFT JOIN counted USING (arm, rep)
ORDER BY position, rep
