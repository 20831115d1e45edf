-- pin_latency_histogram
-- Question: How are the times that callers wait for a long-term pin distributed?
-- Columns:
--   arm: policies compared, in the order of the scenario
--   step step: tenths of a decade: floor(10 x log10 of the time in ns)
--   least_ns ns: shortest time in the step
--   most_ns ns: longest time in the step
--   pins count: pin calls that waited so long
--   migrating count: of them, calls that had to migrate pages first
--   pin_share share: pins / all pins of the arm
-- Notes:
--   A pin call that spans blocks or fault paths has several rows in the log; their times are added.
WITH calls AS (
    SELECT
        arm,
        rep,
        pin,
        greatest(sum(latency_ns)::BIGINT, 1) AS latency_ns,
        sum(migrated_pages) > 0 AS migrates
    FROM pins
    GROUP BY arm, rep, pin
),
stepped AS (
    SELECT
        arm,
        floor(10 * log10(latency_ns))::BIGINT AS step,
        min(latency_ns) AS least_ns,
        max(latency_ns) AS most_ns,
        count(*) AS pins,
        count(*) FILTER (WHERE migrates) AS migrating
    FROM calls
    GROUP BY arm, step
)
SELECT
    arm,
    step,
    least_ns,
    most_ns,
    pins,
    migrating,
    pins / (sum(pins) OVER (PARTITION BY arm))::BIGINT AS pin_share
FROM stepped
JOIN arms USING (arm)
ORDER BY position, step
