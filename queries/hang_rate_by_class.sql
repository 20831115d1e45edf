-- hang_rate_by_class
-- Question: On which class of hosts do requests hang?
-- Parameters:
--   kind {all, removal, probe} = all: which requests count, real ones, those on clones, or both
-- Columns:
--   arm: policies compared, in the order of the scenario
--   class: host class, or the model of a listed host
--   requests count: requests issued to hosts of the class
--   hung count: requests that were stuck at their deadline or whose host a watchdog reset
--   hang_rate share: hung / requests
SELECT
    r.arm,
    h.class,
    count(*) AS requests,
    count(*) FILTER (WHERE r.outcome = 'stuck' OR r.reset) AS hung,
    count(*) FILTER (WHERE r.outcome = 'stuck' OR r.reset) / count(*) AS hang_rate
FROM requests AS r
JOIN hosts AS h USING (arm, rep, host)
JOIN arms USING (arm)
WHERE $kind = 'all' OR r.kind = $kind
GROUP BY arms.position, r.arm, h.class
ORDER BY arms.position, h.class
