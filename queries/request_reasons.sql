-- request_reasons
-- Question: Why did requests end as they did (errno and reason of the last attempt)?
-- Parameters:
--   kind {all, removal, probe} = all: which requests count, real ones, those on clones, or both
-- Columns:
--   arm: policies compared, in the order of the scenario
--   kind: removal or probe
--   outcome: how the request ended
--   errno: errno of the last attempt, spelled
--   reason: reason of the last attempt (mm/memory_hotplug.c)
--   requests count: requests that ended so
--   attempts count: offline attempts they made
SELECT
    r.arm,
    r.kind,
    r.outcome,
    errno_name(r.errno) AS errno,
    r.reason,
    count(*) AS requests,
    sum(r.attempts)::BIGINT AS attempts
FROM requests AS r
JOIN arms USING (arm)
WHERE $kind = 'all' OR r.kind = $kind
GROUP BY arms.position, r.arm, r.kind, r.outcome, r.errno, r.reason
ORDER BY arms.position, r.kind, requests DESC, r.outcome, r.errno, r.reason
