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
WITH broken AS (
    SELECT arm, rep, 'a host is listed once' AS rule, host AS id
    FROM hosts GROUP BY arm, rep, host HAVING count(*) > 1
    UNION ALL
    SELECT arm, rep, 'a workload has one row', workload
    FROM workloads GROUP BY arm, rep, workload HAVING count(*) > 1
    UNION ALL
    SELECT arm, rep, 'a request has exactly one outcome', request
    FROM requests GROUP BY arm, rep, request HAVING count(*) > 1
    UNION ALL
    SELECT arm, rep, 'an attempt has one row', attempt
    FROM attempts GROUP BY arm, rep, attempt HAVING count(*) > 1
    UNION ALL
    SELECT arm, rep, 'an incident has one row', incident
    FROM incidents GROUP BY arm, rep, incident HAVING count(*) > 1
    UNION ALL
    SELECT arm, rep, 'a command has one row', command
    FROM commands GROUP BY arm, rep, command HAVING count(*) > 1
    UNION ALL
    SELECT arm, rep, 'a zone is sampled once per host and time', host
    FROM host_samples GROUP BY arm, rep, host, time_ns, zone HAVING count(*) > 1
    UNION ALL
    SELECT a.arm, a.rep, 'an attempt belongs to a request on its host', a.attempt
    FROM attempts AS a
    LEFT JOIN requests AS r USING (arm, rep, request)
    WHERE r.host IS DISTINCT FROM a.host
    UNION ALL
    SELECT r.arm, r.rep, 'a request counts its attempts', r.request
    FROM requests AS r
    LEFT JOIN (
        SELECT arm, rep, request, count(*) AS made FROM attempts GROUP BY arm, rep, request
    ) AS a USING (arm, rep, request)
    WHERE r.attempts <> coalesce(a.made, 0)
    UNION ALL
    SELECT b.arm, b.rep, 'a blocker belongs to an attempt of its request', b.attempt
    FROM blockers AS b
    LEFT JOIN attempts AS a USING (arm, rep, attempt)
    WHERE a.request IS DISTINCT FROM b.request
    UNION ALL
    SELECT p.arm, p.rep, 'a pin belongs to a workload', p.pin
    FROM pins AS p
    LEFT JOIN workloads AS w USING (arm, rep, workload)
    WHERE w.workload IS NULL
    UNION ALL
    SELECT m.arm, m.rep, 'a migration at pin belongs to a pin', m.cause
    FROM migrations AS m
    LEFT JOIN (SELECT DISTINCT arm, rep, pin FROM pins) AS p
        ON p.arm = m.arm AND p.rep = m.rep AND p.pin = m.cause
    WHERE m.reason = 'longterm_pin' AND p.pin IS NULL
    UNION ALL
    SELECT m.arm, m.rep, 'a migration at offline belongs to an attempt', m.cause
    FROM migrations AS m
    LEFT JOIN attempts AS a ON a.arm = m.arm AND a.rep = m.rep AND a.attempt = m.cause
    WHERE m.reason = 'memory_hotplug' AND a.attempt IS NULL
    UNION ALL
    SELECT arm, rep, 'pages moved = folios of their order, bytes = 4096 x pages', cause
    FROM migrations
    WHERE bytes <> 4096 * pages OR pages <> folios * (1::BIGINT << folio_order)
    UNION ALL
    SELECT i.arm, i.rep, 'an incident hits a workload of the plan', i.incident
    FROM incidents AS i
    LEFT JOIN workloads AS w USING (arm, rep, workload)
    WHERE i.workload IS NOT NULL AND w.workload IS NULL
    UNION ALL
    SELECT c.arm, c.rep, 'a command is about a request or workload of the plan', c.command
    FROM commands AS c
    LEFT JOIN requests AS r USING (arm, rep, request)
    LEFT JOIN workloads AS w USING (arm, rep, workload)
    WHERE (c.request IS NOT NULL AND r.request IS NULL)
        OR (c.workload IS NOT NULL AND w.workload IS NULL)
    UNION ALL
    SELECT x.arm, x.rep, 'every row of a host lies in the shard of the host', x.host
    FROM (
        SELECT arm, rep, shard, host FROM requests
        UNION ALL SELECT arm, rep, shard, host FROM attempts
        UNION ALL SELECT arm, rep, shard, host FROM blockers
        UNION ALL SELECT arm, rep, shard, host FROM pins
        UNION ALL SELECT arm, rep, shard, host FROM migrations
        UNION ALL SELECT arm, rep, shard, host FROM incidents
        UNION ALL SELECT arm, rep, shard, host FROM host_samples
        UNION ALL SELECT arm, rep, shard, host FROM workloads
        UNION ALL SELECT arm, rep, shard, host FROM commands
    ) AS x
    LEFT JOIN hosts AS h USING (arm, rep, host)
    WHERE x.host IS NOT NULL AND h.shard IS DISTINCT FROM x.shard
    UNION ALL
    SELECT arm, rep, 'nothing ends before it begins', request
    FROM requests
    WHERE ended_ns < issued_ns OR started_ns < issued_ns OR deadline_ns < issued_ns
    UNION ALL
    SELECT arm, rep, 'nothing ends before it begins', attempt
    FROM attempts
    WHERE end_ns < start_ns
    UNION ALL
    SELECT arm, rep, 'what went offline has an end and no errno', request
    FROM requests
    WHERE outcome = 'offlined' AND (ended_ns IS NULL OR errno <> 0)
    UNION ALL
    SELECT arm, rep, 'free and pinned pages fit into the zone', host
    FROM host_samples
    WHERE free_pages > managed_pages OR pinned_pages > managed_pages
        OR blocks_pinned > blocks_online
)
SELECT arm, rep, rule, count(*) AS rows, min(id) AS first
FROM broken
JOIN arms USING (arm)
GROUP BY position, arm, rep, rule
ORDER BY position, rep, rule
