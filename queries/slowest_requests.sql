-- slowest_requests
-- Question: Which requests took longest, and what was in their way?
-- Parameters:
--   kind {all, removal, probe} = all: which requests count, real ones, those on clones, or both
--   limit int = 20: how many to list per arm
-- Columns:
--   arm: policies compared, in the order of the scenario
--   rep: replication
--   request: request
--   kind: removal or probe
--   host: host asked
--   first_block: first memory block
--   nr_blocks blocks: memory blocks asked for
--   outcome: how it ended
--   waited_ns ns: from issue to end, or to the deadline when it was stuck
--   passes count: scan-and-migrate passes of all its attempts
--   blockers: classes of what was in its way
WITH work AS (
    SELECT arm, rep, request, sum(passes)::BIGINT AS passes
    FROM attempts
    GROUP BY arm, rep, request
),
ways AS (
    SELECT arm, rep, request, string_agg(class, ', ' ORDER BY class) AS blockers
    FROM (SELECT DISTINCT arm, rep, request, class FROM blockers) AS classes
    GROUP BY arm, rep, request
),
ranked AS (
    SELECT
        *,
        CASE WHEN outcome = 'stuck' THEN deadline_ns ELSE ended_ns END - issued_ns AS waited_ns,
        row_number() OVER (
            PARTITION BY arm
            ORDER BY
                CASE WHEN outcome = 'stuck' THEN deadline_ns ELSE ended_ns END - issued_ns
                    DESC NULLS LAST,
                rep,
                request
        ) AS rank
    FROM requests
    WHERE $kind = 'all' OR kind = $kind
)
SELECT
    r.arm,
    r.rep,
    r.request,
    r.kind,
    r.host,
    r.first_block,
    r.nr_blocks,
    r.outcome,
    r.waited_ns,
    coalesce(w.passes, 0) AS passes,
    coalesce(b.blockers, '') AS blockers
FROM ranked AS r
JOIN arms USING (arm)
LEFT JOIN work AS w ON w.arm = r.arm AND w.rep = r.rep AND w.request = r.request
LEFT JOIN ways AS b ON b.arm = r.arm AND b.rep = r.rep AND b.request = r.request
WHERE r.rank <= $limit
ORDER BY arms.position, r.rank
