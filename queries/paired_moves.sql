-- paired_moves
-- Question: On the same requests, how much less or more was moved under one of two arms?
-- Parameters:
--   kind {removal, probe} = probe: which requests count
-- Columns:
--   arm_a: first arm of the pair
--   arm_b: second arm, later in the scenario
--   pairs count: requests both arms have (same replication and request)
--   less_bytes bytes: sum over requests that moved less under arm_b, of how much
--   more_bytes bytes: sum over requests that moved more under arm_b, of how much
--   whole_bytes bytes: sum of squares over sum of what requests moved in both arms; 0 without any
--   less_ns ns: as less_bytes, of the time of the moves
--   more_ns ns: as more_bytes, of the time of the moves
--   whole_ns ns: as whole_bytes, of the time of the moves
-- Notes:
--   Bytes and time of all offline attempts of a request. What requests move adds up, and varies, as
--   if sum / whole_bytes of them had moved whole_bytes each: mostly those whose block was full.
WITH tries AS (
    SELECT arm, rep, attempt, request
    FROM attempts
    JOIN requests USING (arm, rep, request)
    WHERE kind = $kind
),
moved AS (
    SELECT
        m.arm, m.rep, t.request, sum(m.bytes) AS bytes, sum(m.latency_ns) AS latency_ns
    FROM migrations AS m
    JOIN tries AS t ON t.arm = m.arm AND t.rep = m.rep AND t.attempt = m.cause
    WHERE m.reason = 'memory_hotplug'
    GROUP BY m.arm, m.rep, t.request
),
asked AS (
    SELECT
        arm,
        position,
        rep,
        request,
        coalesce(bytes, 0)::HUGEINT AS bytes,
        coalesce(latency_ns, 0)::HUGEINT AS ns
    FROM requests
    JOIN arms USING (arm)
    LEFT JOIN moved USING (arm, rep, request)
    WHERE kind = $kind
)
SELECT
    a.arm AS arm_a,
    b.arm AS arm_b,
    count(*) AS pairs,
    sum(greatest(a.bytes - b.bytes, 0))::BIGINT AS less_bytes,
    sum(greatest(b.bytes - a.bytes, 0))::BIGINT AS more_bytes,
    coalesce(
        sum(a.bytes * a.bytes + b.bytes * b.bytes) // nullif(sum(a.bytes + b.bytes), 0), 0
    )::BIGINT AS whole_bytes,
    sum(greatest(a.ns - b.ns, 0))::BIGINT AS less_ns,
    sum(greatest(b.ns - a.ns, 0))::BIGINT AS more_ns,
    coalesce(sum(a.ns * a.ns + b.ns * b.ns) // nullif(sum(a.ns + b.ns), 0), 0)::BIGINT AS whole_ns
FROM asked AS a
JOIN asked AS b
    ON a.rep = b.rep AND a.request = b.request AND a.position < b.position
GROUP BY a.arm, b.arm, a.position, b.position
ORDER BY a.position, b.position
