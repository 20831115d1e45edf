-- outcome_shares
-- Question: Into which shares do the requests fall by their end, hangs apart?
-- Parameters:
--   kind {all, removal, probe} = all: which requests count, real ones, those on clones, or both
-- Columns:
--   arm: policies compared, in the order of the scenario
--   requests count: requests issued
--   offlined share: the memory went offline
--   refused share: the kernel said no at once
--   gave_up share: a bounded policy ended by itself
--   stuck share: had not returned at the deadline, host not reset
--   reset share: a watchdog reset the host because of it
--   host_down share: the host was down or went down for another reason
--   withdrawn share: taken back before an answer
--   censored share: the end of the run came first
-- Notes:
--   The shares of an arm add up to 1; stuck + reset is the hang rate.
WITH ended AS (
    SELECT arm, CASE WHEN reset THEN 'reset' ELSE outcome END AS outcome
    FROM requests
    WHERE $kind = 'all' OR kind = $kind
)
SELECT
    arm,
    count(outcome) AS requests,
    count(*) FILTER (WHERE outcome = 'offlined') / nullif(count(outcome), 0) AS offlined,
    count(*) FILTER (WHERE outcome = 'refused') / nullif(count(outcome), 0) AS refused,
    count(*) FILTER (WHERE outcome = 'gave_up') / nullif(count(outcome), 0) AS gave_up,
    count(*) FILTER (WHERE outcome = 'stuck') / nullif(count(outcome), 0) AS stuck,
    count(*) FILTER (WHERE outcome = 'reset') / nullif(count(outcome), 0) AS reset,
    count(*) FILTER (WHERE outcome = 'host_down') / nullif(count(outcome), 0) AS host_down,
    count(*) FILTER (WHERE outcome = 'withdrawn') / nullif(count(outcome), 0) AS withdrawn,
    count(*) FILTER (WHERE outcome = 'censored') / nullif(count(outcome), 0) AS censored
FROM arms
LEFT JOIN ended USING (arm)
GROUP BY position, arm
ORDER BY position
