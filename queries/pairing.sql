-- pairing
-- Question: Did every arm get the same demands (nothing listed: it did)?
-- Columns:
--   rep: replication
--   what: request or workload
--   id: number of the demand
--   arms count: arms that have it
--   expected count: arms whose replication is finished
--   variants count: different versions of the demand among the arms
-- Notes:
--   A probe must have the same host, blocks, time and deadline in every arm; a removal the same
--   time and deadline (its host is the coordinator's choice); a workload the same arrival, size,
--   device and flows. No number that compares arms means anything otherwise.
WITH demands AS (
    SELECT
        arm,
        rep,
        'request' AS what,
        request AS id,
        [
            (kind = 'probe')::BIGINT,
            CASE WHEN kind = 'probe' THEN host END,
            CASE WHEN kind = 'probe' THEN first_block END,
            CASE WHEN kind = 'probe' THEN nr_blocks END,
            issued_ns,
            deadline_ns
        ] AS version
    FROM requests
    UNION ALL
    SELECT
        arm, rep, 'workload', workload, [arrived_ns, memory_pages, vfio::BIGINT, flows]
    FROM workloads
),
expected AS (
    SELECT rep, count(*) AS expected
    FROM units
    GROUP BY rep
)
SELECT
    rep,
    what,
    id,
    count(DISTINCT arm) AS arms,
    min(expected) AS expected,
    count(DISTINCT version) AS variants
FROM demands
JOIN expected USING (rep)
GROUP BY rep, what, id
HAVING count(DISTINCT arm) <> min(expected)
    OR count(DISTINCT version) <> 1
    OR count(*) <> min(expected)
ORDER BY rep, what, id
