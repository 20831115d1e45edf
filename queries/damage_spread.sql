-- damage_spread
-- Question: Is the damage spread over the fleet, or do few hosts bear it?
-- Columns:
--   arm: policies compared, in the order of the scenario
--   hosts count: hosts, all replications together
--   hosts_hit count: of them, hosts with any damage
--   hosts_half count: the fewest hosts that bear half of the damage
--   damage count: hung requests, OOM kills, failed pins and panics, as in damage_map
--   worst_host id: host with most damage, the first of equals; null without damage
--   worst_damage count: its damage
WITH events AS (
    SELECT arm, host
    FROM requests
    WHERE (outcome = 'stuck' OR reset) AND host IS NOT NULL
    UNION ALL
    SELECT arm, host
    FROM incidents
    WHERE kind <> 'reset'
),
per_host AS (
    SELECT arm, host, count(*) AS damage FROM events GROUP BY arm, host
),
ranked AS (
    SELECT
        arm,
        host,
        damage,
        row_number() OVER worst AS rank,
        sum(damage) OVER worst AS upto,
        sum(damage) OVER (PARTITION BY arm) AS total
    FROM per_host
    WINDOW worst AS (PARTITION BY arm ORDER BY damage DESC, host)
)
SELECT
    arm,
    (SELECT count(DISTINCT h.host) FROM hosts AS h WHERE h.arm = arms.arm) AS hosts,
    count(host) AS hosts_hit,
    count(host) FILTER (WHERE 2 * (upto - damage) < total) AS hosts_half,
    coalesce(sum(damage), 0)::BIGINT AS damage,
    min(host) FILTER (WHERE rank = 1) AS worst_host,
    coalesce(max(damage), 0) AS worst_damage
FROM arms
LEFT JOIN ranked USING (arm)
GROUP BY position, arm
ORDER BY position
