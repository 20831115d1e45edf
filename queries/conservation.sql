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
--   Rows are looked at one by one (`broken`) only in units in which something is wrong at all
--   (`unsound`). Whether it is, sets of 32 ids tell: a word (the id without five of its bits) and
--   one bit for each id in it, which makes few groups of many. Of ids that count in steps of 1,024
--   (attempts, pins) those with the same remainder make a set.
--   Every table is read once: what follows each read (`requested` to `decided`) shares it.
WITH requested AS MATERIALIZED (
    SELECT unit, shard, host, request, attempts,
        ended_ns < issued_ns OR started_ns < issued_ns OR deadline_ns < issued_ns
            OR (outcome = 'offlined' AND (ended_ns IS NULL OR errno <> 0)) AS wrong
    FROM requests_by_unit
),
tried AS MATERIALIZED (
    SELECT unit, shard, host, attempt, request, unavailable_ns, end_ns < start_ns AS wrong
    FROM attempts_by_unit
),
held AS MATERIALIZED (
    SELECT unit, shard, host, pin, workload FROM pins_by_unit
),
pinned AS MATERIALIZED (
    SELECT unit, workload & -32 AS workloads, pin % 1024 AS part, pin // 1024 & -32 AS word,
        bit_or(1::BIGINT << (workload & 31)) AS workload_bits,
        bit_or(1::BIGINT << (pin // 1024 & 31)) AS bits
    FROM held GROUP BY ALL
),
moved AS MATERIALIZED (
    SELECT unit, shard, host, reason, cause,
        bytes <> 4096 * pages OR pages <> folios * (1::BIGINT << folio_order) AS wrong
    FROM migrations_by_unit
),
slowed AS MATERIALIZED (
    SELECT unit, shard, host, reason, cause, workload, unavailable_ns,
        unmaps < 1 OR unavailable_ns < 0 AS wrong
    FROM slowdowns_by_unit
),
happened AS MATERIALIZED (
    SELECT unit, shard, host, incident, workload FROM incidents_by_unit
),
sampled AS MATERIALIZED (
    SELECT unit, shard, time_ns, zone, host & -32 AS word,
        bit_or(1::BIGINT << (host & 31)) AS bits, count(*) AS rows,
        bool_or(
            free_pages > managed_pages OR pinned_pages > managed_pages
            OR blocks_pinned > blocks_online
        ) AS wrong
    FROM host_samples_by_unit GROUP BY ALL
),
planned AS MATERIALIZED (
    SELECT unit, shard, host, workload FROM workloads_by_unit
),
decided AS MATERIALIZED (
    SELECT unit, shard, host, command, workload, request FROM commands_by_unit
),
commanded AS MATERIALIZED (
    SELECT unit, workload & -32 AS workloads, request & -32 AS requests,
        bit_or(1::BIGINT << (workload & 31)) AS workload_bits,
        bit_or(1::BIGINT << (request & 31)) AS request_bits
    FROM decided GROUP BY ALL
),
ids AS MATERIALIZED (
    SELECT 'workload' AS what, unit, 0 AS part, workload & -32 AS word,
        bit_or(1::BIGINT << (workload & 31)) AS bits, count(*) AS rows
    FROM planned GROUP BY ALL
    UNION ALL
    SELECT 'request', unit, 0, request & -32, bit_or(1::BIGINT << (request & 31)), count(*)
    FROM requested GROUP BY ALL
    UNION ALL
    SELECT 'incident', unit, 0, incident & -32, bit_or(1::BIGINT << (incident & 31)), count(*)
    FROM happened GROUP BY ALL
    UNION ALL
    SELECT 'command', unit, 0, command & -32, bit_or(1::BIGINT << (command & 31)), count(*)
    FROM decided GROUP BY ALL
    UNION ALL
    SELECT 'attempt', unit, attempt % 1024, attempt // 1024 & -32,
        bit_or(1::BIGINT << (attempt // 1024 & 31)), count(*)
    FROM tried GROUP BY ALL
),
known AS (
    SELECT what, unit, part, word, bits FROM ids
    UNION ALL
    SELECT 'pin', unit, part, word, bit_or(bits) FROM pinned GROUP BY ALL
),
named AS (
    SELECT 'workload' AS what, unit, 0 AS part, workloads AS word, bit_or(workload_bits) AS bits
    FROM pinned GROUP BY ALL
    UNION ALL
    SELECT 'workload', unit, 0, workload & -32, bit_or(1::BIGINT << (workload & 31))
    FROM happened GROUP BY ALL
    UNION ALL
    SELECT 'workload', unit, 0, workloads, bit_or(workload_bits) FROM commanded GROUP BY ALL
    UNION ALL
    SELECT 'request', unit, 0, requests, bit_or(request_bits) FROM commanded GROUP BY ALL
    UNION ALL
    SELECT CASE reason WHEN 'longterm_pin' THEN 'pin' WHEN 'memory_hotplug' THEN 'attempt' END,
        unit, coalesce(cause % 1024, -1), coalesce(cause // 1024 & -32, 0),
        bit_or(1::BIGINT << (coalesce(cause // 1024, 0) & 31))
    FROM moved GROUP BY ALL
    UNION ALL
    SELECT CASE reason WHEN 'longterm_pin' THEN 'pin' WHEN 'memory_hotplug' THEN 'attempt'
            WHEN 'suspended' THEN 'attempt' END,
        unit, coalesce(cause % 1024, -1), coalesce(cause // 1024 & -32, 0),
        bit_or(1::BIGINT << (coalesce(cause // 1024, 0) & 31))
    FROM slowed GROUP BY ALL
    UNION ALL
    SELECT 'workload', unit, 0, workload & -32, bit_or(1::BIGINT << (workload & 31))
    FROM slowed GROUP BY ALL
),
lying AS (
    SELECT unit, shard, host & -32 AS word, bit_or(1::BIGINT << (host & 31)) AS bits,
        bool_or(wrong) AS wrong
    FROM requested GROUP BY ALL
    UNION ALL
    SELECT unit, shard, host & -32, bit_or(1::BIGINT << (host & 31)), bool_or(wrong)
    FROM tried GROUP BY ALL
    UNION ALL
    SELECT unit, shard, host & -32, bit_or(1::BIGINT << (host & 31)), bool_or(wrong)
    FROM moved GROUP BY ALL
    UNION ALL
    SELECT unit, shard, host & -32, bit_or(1::BIGINT << (host & 31)), bool_or(wrong)
    FROM slowed GROUP BY ALL
    UNION ALL
    SELECT unit, shard, word, bit_or(bits), bool_or(wrong) FROM sampled GROUP BY ALL
    UNION ALL
    SELECT unit, shard, host & -32, bit_or(1::BIGINT << (host & 31)), FALSE
    FROM held GROUP BY ALL
    UNION ALL
    SELECT unit, shard, host & -32, bit_or(1::BIGINT << (host & 31)), FALSE
    FROM blockers_by_unit GROUP BY ALL
    UNION ALL
    SELECT unit, shard, host & -32, bit_or(1::BIGINT << (host & 31)), FALSE
    FROM happened GROUP BY ALL
    UNION ALL
    SELECT unit, shard, host & -32, bit_or(1::BIGINT << (host & 31)), FALSE
    FROM planned GROUP BY ALL
    UNION ALL
    SELECT unit, shard, host & -32, bit_or(1::BIGINT << (host & 31)), FALSE
    FROM decided GROUP BY ALL
),
hosted AS (
    SELECT unit, shard, host & -32 AS word, bit_or(1::BIGINT << (host & 31)) AS bits
    FROM hosts_by_unit GROUP BY ALL
),
served AS (
    SELECT unit, request, host, attempts FROM requested
    UNION ALL SELECT unit, request, host, NULL FROM tried
),
shared AS (
    SELECT unit, attempt, unavailable_ns AS ns FROM tried WHERE unavailable_ns <> 0
    UNION ALL
    SELECT unit, cause, -unavailable_ns FROM slowed WHERE reason IN ('memory_hotplug', 'suspended')
),
unsound AS MATERIALIZED (
    SELECT DISTINCT unit
    FROM (
        SELECT unit FROM hosts_by_unit GROUP BY unit, host HAVING count(*) > 1
        UNION ALL
        SELECT unit FROM ids WHERE rows <> bit_count(bits)
        UNION ALL
        SELECT unit FROM sampled GROUP BY unit, time_ns, zone, word
        HAVING sum(rows) <> bit_count(bit_or(bits))
        UNION ALL
        SELECT n.unit
        FROM named AS n LEFT JOIN known AS k USING (what, unit, part, word)
        WHERE n.bits & ~coalesce(k.bits, 0) <> 0 AND n.what IS NOT NULL
        UNION ALL
        SELECT l.unit
        FROM lying AS l LEFT JOIN hosted AS h USING (unit, shard, word)
        WHERE l.wrong OR l.bits & ~coalesce(h.bits, 0) <> 0
        UNION ALL
        SELECT unit FROM served GROUP BY unit, request
        HAVING count(attempts) <> 1 OR sum(attempts) <> count(*) - 1
            OR min(host) <> max(host) OR count(host) NOT IN (0, count(*))
        UNION ALL
        SELECT unit
        FROM blockers_by_unit ANTI JOIN attempts_by_unit USING (unit, attempt, request)
        UNION ALL
        SELECT unit FROM shared GROUP BY unit, attempt HAVING sum(ns) <> 0
    )
),
unsound_workloads AS MATERIALIZED (
    SELECT unit, shard, host, workload FROM workloads_by_unit SEMI JOIN unsound USING (unit)
),
unsound_requests AS MATERIALIZED (
    SELECT unit, shard, host, request, attempts, issued_ns, started_ns, deadline_ns, ended_ns,
        outcome, errno
    FROM requests_by_unit SEMI JOIN unsound USING (unit)
),
unsound_attempts AS MATERIALIZED (
    SELECT unit, shard, host, attempt, request, start_ns, end_ns
    FROM attempts_by_unit SEMI JOIN unsound USING (unit)
),
unsound_blockers AS MATERIALIZED (
    SELECT unit, shard, host, attempt, request
    FROM blockers_by_unit SEMI JOIN unsound USING (unit)
),
unsound_pins AS MATERIALIZED (
    SELECT unit, shard, host, pin, workload FROM pins_by_unit SEMI JOIN unsound USING (unit)
),
unsound_migrations AS MATERIALIZED (
    SELECT unit, shard, host, reason, cause, bytes, pages, folios, folio_order
    FROM migrations_by_unit SEMI JOIN unsound USING (unit)
),
unsound_slowdowns AS MATERIALIZED (
    SELECT unit, shard, host, reason, cause, workload, unmaps, unavailable_ns
    FROM slowdowns_by_unit SEMI JOIN unsound USING (unit)
),
unsound_incidents AS MATERIALIZED (
    SELECT unit, shard, host, incident, workload
    FROM incidents_by_unit SEMI JOIN unsound USING (unit)
),
unsound_samples AS MATERIALIZED (
    SELECT unit, shard, host, time_ns, zone, managed_pages, free_pages, pinned_pages,
        blocks_online, blocks_pinned
    FROM host_samples_by_unit SEMI JOIN unsound USING (unit)
),
unsound_commands AS MATERIALIZED (
    SELECT unit, shard, host, command, workload, request
    FROM commands_by_unit SEMI JOIN unsound USING (unit)
),
by_host AS (
    SELECT unit, shard, host FROM unsound_requests
    UNION ALL SELECT unit, shard, host FROM unsound_attempts
    UNION ALL SELECT unit, shard, host FROM unsound_blockers
    UNION ALL SELECT unit, shard, host FROM unsound_pins
    UNION ALL SELECT unit, shard, host FROM unsound_migrations
    UNION ALL SELECT unit, shard, host FROM unsound_slowdowns
    UNION ALL SELECT unit, shard, host FROM unsound_incidents
    UNION ALL SELECT unit, shard, host FROM unsound_samples
    UNION ALL SELECT unit, shard, host FROM unsound_workloads
    UNION ALL SELECT unit, shard, host FROM unsound_commands
),
broken AS (
    SELECT unit, 'a host is listed once' AS rule, host AS id
    FROM hosts_by_unit GROUP BY unit, host HAVING count(*) > 1
    UNION ALL
    SELECT unit, 'a workload has one row', workload
    FROM unsound_workloads GROUP BY unit, workload HAVING count(*) > 1
    UNION ALL
    SELECT unit, 'a request has exactly one outcome', request
    FROM unsound_requests GROUP BY unit, request HAVING count(*) > 1
    UNION ALL
    SELECT unit, 'an attempt has one row', attempt
    FROM unsound_attempts GROUP BY unit, attempt HAVING count(*) > 1
    UNION ALL
    SELECT unit, 'an incident has one row', incident
    FROM unsound_incidents GROUP BY unit, incident HAVING count(*) > 1
    UNION ALL
    SELECT unit, 'a command has one row', command
    FROM unsound_commands GROUP BY unit, command HAVING count(*) > 1
    UNION ALL
    SELECT unit, 'a zone is sampled once per host and time', host
    FROM unsound_samples GROUP BY unit, host, time_ns, zone HAVING count(*) > 1
    UNION ALL
    SELECT unit, 'a pin belongs to a workload', pin
    FROM unsound_pins ANTI JOIN unsound_workloads USING (unit, workload)
    UNION ALL
    SELECT unit, 'an incident hits a workload of the plan', incident
    FROM unsound_incidents ANTI JOIN unsound_workloads USING (unit, workload)
    WHERE workload IS NOT NULL
    UNION ALL
    SELECT unit, 'a command is about a request or workload of the plan', command
    FROM unsound_commands ANTI JOIN unsound_workloads USING (unit, workload)
    WHERE workload IS NOT NULL
    UNION ALL
    SELECT unit, 'a command is about a request or workload of the plan', command
    FROM unsound_commands ANTI JOIN unsound_requests USING (unit, request)
    WHERE request IS NOT NULL
    UNION ALL
    SELECT a.unit, 'an attempt belongs to a request on its host', a.attempt
    FROM unsound_attempts AS a LEFT JOIN unsound_requests AS r USING (unit, request)
    WHERE r.host IS DISTINCT FROM a.host
    UNION ALL
    SELECT r.unit, 'a request counts its attempts', r.request
    FROM unsound_requests AS r
    LEFT JOIN (
        SELECT unit, request, count(*) AS made FROM unsound_attempts GROUP BY ALL
    ) AS a USING (unit, request)
    WHERE r.attempts <> coalesce(a.made, 0)
    UNION ALL
    SELECT b.unit, 'a blocker belongs to an attempt of its request', b.attempt
    FROM unsound_blockers AS b LEFT JOIN unsound_attempts AS a USING (unit, attempt)
    WHERE a.request IS DISTINCT FROM b.request
    UNION ALL
    SELECT m.unit, 'a migration at pin belongs to a pin', m.cause
    FROM unsound_migrations AS m
    ANTI JOIN unsound_pins AS p ON p.unit = m.unit AND p.pin = m.cause
    WHERE m.reason = 'longterm_pin'
    UNION ALL
    SELECT m.unit, 'a migration at offline belongs to an attempt', m.cause
    FROM unsound_migrations AS m
    ANTI JOIN unsound_attempts AS a ON a.unit = m.unit AND a.attempt = m.cause
    WHERE m.reason = 'memory_hotplug'
    UNION ALL
    SELECT s.unit, 'a slowdown at pin belongs to a pin', s.cause
    FROM unsound_slowdowns AS s
    ANTI JOIN unsound_pins AS p ON p.unit = s.unit AND p.pin = s.cause
    WHERE s.reason = 'longterm_pin'
    UNION ALL
    SELECT s.unit, 'a slowdown at offline belongs to an attempt', s.cause
    FROM unsound_slowdowns AS s
    ANTI JOIN unsound_attempts AS a ON a.unit = s.unit AND a.attempt = s.cause
    WHERE s.reason IN ('memory_hotplug', 'suspended')
    UNION ALL
    SELECT unit, 'a slowdown is of a workload of the plan', cause
    FROM unsound_slowdowns ANTI JOIN unsound_workloads USING (unit, workload)
    WHERE workload IS NOT NULL
    UNION ALL
    SELECT unit, 'a slowdown takes pages away at least once, for no negative time', cause
    FROM unsound_slowdowns
    WHERE unmaps < 1 OR unavailable_ns < 0
    UNION ALL
    SELECT unit, 'an attempt takes pages away for as long as its slowdowns say', attempt
    FROM shared SEMI JOIN unsound USING (unit)
    GROUP BY unit, attempt HAVING sum(ns) <> 0
    UNION ALL
    SELECT unit, 'pages moved = folios of their order, bytes = 4096 x pages', cause
    FROM unsound_migrations
    WHERE bytes <> 4096 * pages OR pages <> folios * (1::BIGINT << folio_order)
    UNION ALL
    SELECT unit, 'every row of a host lies in the shard of the host', host
    FROM by_host ANTI JOIN hosts_by_unit USING (unit, shard, host)
    WHERE host IS NOT NULL
    UNION ALL
    SELECT unit, 'nothing ends before it begins', request
    FROM unsound_requests
    WHERE ended_ns < issued_ns OR started_ns < issued_ns OR deadline_ns < issued_ns
    UNION ALL
    SELECT unit, 'nothing ends before it begins', attempt
    FROM unsound_attempts
    WHERE end_ns < start_ns
    UNION ALL
    SELECT unit, 'what went offline has an end and no errno', request
    FROM unsound_requests
    WHERE outcome = 'offlined' AND (ended_ns IS NULL OR errno <> 0)
    UNION ALL
    SELECT unit, 'free and pinned pages fit into the zone', host
    FROM unsound_samples
    WHERE free_pages > managed_pages OR pinned_pages > managed_pages
        OR blocks_pinned > blocks_online
)
SELECT arm, rep, rule, count(*)::BIGINT AS rows, min(id) AS first
FROM broken
JOIN units USING (unit)
JOIN arms USING (arm)
GROUP BY position, arm, rep, rule
ORDER BY position, rep, rule
