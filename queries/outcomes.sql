-- outcomes
-- Question: How did the requests end, per arm?
-- Parameters:
--   kind {all, removal, probe} = all: which requests count, real ones, those on clones, or both
-- Columns:
--   arm: policies compared, in the order of the scenario
--   requests count: requests issued
--   offlined count: the memory went offline
--   refused count: the kernel said no at once, errno in request_reasons
--   gave_up count: a bounded policy ended by itself
--   stuck count: had not returned at the deadline
--   host_down count: the host was down or went down for another reason
--   withdrawn count: taken back before an answer
--   censored count: the horizon came before deadline and answer
--   reset count: of all, those whose host a watchdog reset
--   endless count: of all, those whose loop would never have ended without outside change
SELECT
    arm,
    count(request) AS requests,
    count(*) FILTER (WHERE outcome = 'offlined') AS offlined,
    count(*) FILTER (WHERE outcome = 'refused') AS refused,
    count(*) FILTER (WHERE outcome = 'gave_up') AS gave_up,
    count(*) FILTER (WHERE outcome = 'stuck') AS stuck,
    count(*) FILTER (WHERE outcome = 'host_down') AS host_down,
    count(*) FILTER (WHERE outcome = 'withdrawn') AS withdrawn,
    count(*) FILTER (WHERE outcome = 'censored') AS censored,
    count(*) FILTER (WHERE reset) AS reset,
    count(*) FILTER (WHERE endless) AS endless
FROM arms
LEFT JOIN (SELECT * FROM requests WHERE $kind = 'all' OR kind = $kind) AS counted USING (arm)
GROUP BY position, arm
ORDER BY position
