-- conservation
-- Question: Do the rows contradict each other (nothing listed: they do not)?
-- Columns:
--   arm: policies compared, in the order of the scenario
--   rep: replication
--   rule: what must hold and does not
--   rows count: rows that break it
--   first: smallest id among them
-- Notes:
--   fleet verify asks this after it has compared every byte with the manifest.
--   Ids are compared as sets of 32: a word (id & -32) and one bit for each id in it, which makes
--   few groups of many. Rows are looked at one by one only where a set is broken.
WITH named AS (
    SELECT 1 AS what, arm, rep, workload AS id, 0 AS time_ns, 0 AS zone FROM workloads
    UNION ALL SELECT 2, arm, rep, request, 0, 0 FROM requests
    UNION ALL SELECT 3, arm, rep, incident, 0, 0 FROM incidents
    UNION ALL SELECT 4, arm, rep, command, 0, 0 FROM commands
    UNION ALL SELECT 5, arm, rep, host, time_ns, zone FROM host_samples
),
words AS MATERIALIZED (
    SELECT 1 AS what, arm, rep, 0 AS time_ns, 0 AS zone, workload & -32 AS word,
        bit_or(1::BIGINT << (workload & 31)) AS bits, count(*) AS rows
    FROM workloads GROUP BY ALL
    UNION ALL
    SELECT 2, arm, rep, 0, 0, request & -32,
        bit_or(1::BIGINT << (request & 31)), count(*)
    FROM requests GROUP BY ALL
    UNION ALL
    SELECT 3, arm, rep, 0, 0, incident & -32,
        bit_or(1::BIGINT << (incident & 31)), count(*)
    FROM incidents GROUP BY ALL
    UNION ALL
    SELECT 4, arm, rep, 0, 0, command & -32,
        bit_or(1::BIGINT << (command & 31)), count(*)
    FROM commands GROUP BY ALL
    UNION ALL
    SELECT 5, arm, rep, time_ns, zone, host & -32,
        bit_or(1::BIGINT << (host & 31)), count(*)
    FROM host_samples GROUP BY ALL
),
twice AS MATERIALIZED (
    SELECT what, arm, rep, time_ns, zone, word FROM words WHERE rows <> bit_count(bits)
),
asked AS (
    SELECT 1 AS what, 'a pin belongs to a workload' AS rule, arm, rep, workload AS of, pin AS id
    FROM pins
    UNION ALL
    SELECT 1, 'an incident hits a workload of the plan', arm, rep, workload, incident
    FROM incidents WHERE workload IS NOT NULL
    UNION ALL
    SELECT 1, 'a command is about a request or workload of the plan', arm, rep, workload, command
    FROM commands WHERE workload IS NOT NULL
    UNION ALL
    SELECT 2, 'a command is about a request or workload of the plan', arm, rep, request, command
    FROM commands WHERE request IS NOT NULL
),
missing AS MATERIALIZED (
    SELECT what, arm, rep, word, a.bits & ~coalesce(w.bits, 0) AS bits
    FROM (
        SELECT 1 AS what, arm, rep, workload & -32 AS word,
            bit_or(1::BIGINT << (workload & 31)) AS bits
        FROM pins GROUP BY ALL
        UNION ALL
        SELECT 1, arm, rep, workload & -32, bit_or(1::BIGINT << (workload & 31))
        FROM incidents WHERE workload IS NOT NULL GROUP BY ALL
        UNION ALL
        SELECT 1, arm, rep, workload & -32, bit_or(1::BIGINT << (workload & 31))
        FROM commands WHERE workload IS NOT NULL GROUP BY ALL
        UNION ALL
        SELECT 2, arm, rep, request & -32, bit_or(1::BIGINT << (request & 31))
        FROM commands WHERE request IS NOT NULL GROUP BY ALL
    ) AS a
    LEFT JOIN words AS w USING (what, arm, rep, word)
    WHERE a.bits & ~coalesce(w.bits, 0) <> 0
),
by_host AS (
    SELECT arm, rep, shard, host, count(*) AS rows FROM requests GROUP BY ALL
    UNION ALL SELECT arm, rep, shard, host, count(*) FROM attempts GROUP BY ALL
    UNION ALL SELECT arm, rep, shard, host, count(*) FROM blockers GROUP BY ALL
    UNION ALL SELECT arm, rep, shard, host, count(*) FROM pins GROUP BY ALL
    UNION ALL SELECT arm, rep, shard, host, count(*) FROM migrations GROUP BY ALL
    UNION ALL SELECT arm, rep, shard, host, count(*) FROM incidents GROUP BY ALL
    UNION ALL SELECT arm, rep, shard, host, count(*) FROM host_samples GROUP BY ALL
    UNION ALL SELECT arm, rep, shard, host, count(*) FROM workloads GROUP BY ALL
    UNION ALL SELECT arm, rep, shard, host, count(*) FROM commands GROUP BY ALL
),
broken AS (
    SELECT arm, rep, 'a host is listed once' AS rule, 1 AS rows, host AS id
    FROM hosts GROUP BY arm, rep, host HAVING count(*) > 1
    UNION ALL
    SELECT arm, rep, 'an attempt has one row', 1, attempt
    FROM attempts GROUP BY arm, rep, attempt HAVING count(*) > 1
    UNION ALL
    SELECT n.arm, n.rep, [
        'a workload has one row', 'a request has exactly one outcome', 'an incident has one row',
        'a command has one row', 'a zone is sampled once per host and time'
    ][n.what], 1, n.id
    FROM named AS n
    SEMI JOIN twice AS t ON t.what = n.what AND t.arm = n.arm AND t.rep = n.rep
        AND t.time_ns = n.time_ns AND t.zone = n.zone AND t.word = n.id & -32
    GROUP BY n.arm, n.rep, n.what, n.id, n.time_ns, n.zone HAVING count(*) > 1
    UNION ALL
    SELECT a.arm, a.rep, a.rule, 1, a.id
    FROM asked AS a
    SEMI JOIN missing AS m ON m.what = a.what AND m.arm = a.arm AND m.rep = a.rep
        AND m.word = a.of & -32 AND m.bits >> (a.of & 31) & 1 = 1
    UNION ALL
    SELECT a.arm, a.rep, 'an attempt belongs to a request on its host', 1, a.attempt
    FROM attempts AS a
    LEFT JOIN requests AS r USING (arm, rep, request)
    WHERE r.host IS DISTINCT FROM a.host
    UNION ALL
    SELECT r.arm, r.rep, 'a request counts its attempts', 1, r.request
    FROM requests AS r
    LEFT JOIN (
        SELECT arm, rep, request, count(*) AS made FROM attempts GROUP BY arm, rep, request
    ) AS a USING (arm, rep, request)
    WHERE r.attempts <> coalesce(a.made, 0)
    UNION ALL
    SELECT b.arm, b.rep, 'a blocker belongs to an attempt of its request', 1, b.attempt
    FROM blockers AS b
    LEFT JOIN attempts AS a USING (arm, rep, attempt)
    WHERE a.request IS DISTINCT FROM b.request
    UNION ALL
    SELECT arm, rep, CASE reason
        WHEN 'longterm_pin' THEN 'a migration at pin belongs to a pin'
        ELSE 'a migration at offline belongs to an attempt'
    END, 1, cause
    FROM migrations
    ANTI JOIN (
        SELECT 'longterm_pin' AS reason, arm, rep, pin AS cause FROM pins
        UNION ALL SELECT 'memory_hotplug', arm, rep, attempt FROM attempts
    ) USING (reason, arm, rep, cause)
    WHERE reason IN ('longterm_pin', 'memory_hotplug')
    UNION ALL
    SELECT arm, rep, 'pages moved = folios of their order, bytes = 4096 x pages', 1, cause
    FROM migrations
    WHERE bytes <> 4096 * pages OR pages <> folios * (1::BIGINT << folio_order)
    UNION ALL
    SELECT arm, rep, 'every row of a host lies in the shard of the host', rows, host
    FROM by_host
    ANTI JOIN hosts USING (arm, rep, shard, host)
    WHERE host IS NOT NULL
    UNION ALL
    SELECT arm, rep, 'nothing ends before it begins', 1, request
    FROM requests
    WHERE ended_ns < issued_ns OR started_ns < issued_ns OR deadline_ns < issued_ns
    UNION ALL
    SELECT arm, rep, 'nothing ends before it begins', 1, attempt
    FROM attempts
    WHERE end_ns < start_ns
    UNION ALL
    SELECT arm, rep, 'what went offline has an end and no errno', 1, request
    FROM requests
    WHERE outcome = 'offlined' AND (ended_ns IS NULL OR errno <> 0)
    UNION ALL
    SELECT arm, rep, 'free and pinned pages fit into the zone', 1, host
    FROM host_samples
    WHERE free_pages > managed_pages OR pinned_pages > managed_pages
        OR blocks_pinned > blocks_online
)
SELECT arm, rep, rule, sum(rows)::BIGINT AS rows, min(id) AS first
FROM broken
JOIN arms USING (arm)
GROUP BY position, arm, rep, rule
ORDER BY position, rep, rule
