-- offline_curve
-- Question: Which share of the requests is offline how long after it was issued?
-- Parameters:
--   kind {all, removal, probe} = all: which requests count, real ones, those on clones, or both
-- Columns:
--   arm: policies compared, in the order of the scenario
--   time_ns ns: time since issue, the last of its step at which a request ended or was censored
--   at_risk count: requests not yet offline and still watched at the start of the step
--   offlined count: of them, those that went offline in the step
--   censored count: of them, those that stopped being watched in the step
--   offline_share share: estimated share offline by then
-- Notes:
--   Product-limit estimator (Kaplan and Meier, JASA 53 (1958)) at every time of an event; what is
--   listed is its value at the end of each step of a 12th of a decade. A request that was refused,
--   gave up, hung or lost its host is watched until its deadline and never goes offline before it,
--   so a policy can not look fast by refusing. One that the end of the run cut off is censored at
--   the last time any request of its replication is known to have changed. Withdrawn requests are
--   left out, as in offline_time.
WITH last AS (
    SELECT
        arm,
        rep,
        max(greatest(issued_ns, coalesce(started_ns, issued_ns), coalesce(ended_ns, issued_ns)))
            AS seen_ns
    FROM requests
    GROUP BY arm, rep
),
watched AS (
    SELECT
        arm,
        outcome = 'offlined' AS offline,
        CASE outcome
            WHEN 'offlined' THEN ended_ns - issued_ns
            WHEN 'censored' THEN least(seen_ns, deadline_ns) - issued_ns
            ELSE deadline_ns - issued_ns
        END AS time_ns
    FROM requests
    JOIN last USING (arm, rep)
    WHERE outcome <> 'withdrawn' AND ($kind = 'all' OR kind = $kind)
),
steps AS (
    SELECT
        arm,
        time_ns,
        count(*) FILTER (WHERE offline) AS offlined,
        count(*) FILTER (WHERE NOT offline) AS censored
    FROM watched
    GROUP BY arm, time_ns
),
running AS (
    SELECT
        *,
        sum(offlined + censored) OVER whole AS total,
        sum(offlined) OVER upto AS offlined_upto,
        sum(offlined + censored) OVER whole - sum(offlined + censored) OVER upto
            + offlined + censored AS at_risk
    FROM steps
    WINDOW
        whole AS (PARTITION BY arm),
        upto AS (PARTITION BY arm ORDER BY time_ns)
),
estimated AS (
    SELECT
        *,
        CASE
            WHEN at_risk + offlined_upto - offlined = total
                THEN offlined_upto::DOUBLE / total::DOUBLE
            ELSE 1 - product(1 - offlined / at_risk::DOUBLE)
                OVER (PARTITION BY arm ORDER BY time_ns)
        END AS offline_share
    FROM running
)
SELECT
    arm,
    max(time_ns)::BIGINT AS time_ns,
    max(at_risk)::BIGINT AS at_risk,
    sum(offlined)::BIGINT AS offlined,
    sum(censored)::BIGINT AS censored,
    max(offline_share) AS offline_share
FROM estimated
JOIN arms USING (arm)
GROUP BY position, arm, floor(12 * log10(greatest(time_ns, 1)))
ORDER BY position, time_ns
