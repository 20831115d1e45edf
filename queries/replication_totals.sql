-- replication_totals
-- Question: What did each replication come to: removals, pins, memory, applications?
-- Columns:
--   arm: policies compared, in the order of the scenario
--   rep: replication, the unit of comparison wherever one thing led to another
--   requests count: removals asked for
--   hung count: removals that were stuck at their deadline or whose host a watchdog reset
--   offline_bytes bytes: moved by the removals' offline attempts
--   offline_ns ns: time of those moves
--   unavailable_ns page-ns: sum over pages of the time they were not mapped
--   timed count: removals whose time counts: those whose deadline the run lasted to see
--   time_ns ns: sum over them of the time from issue to offline, up to the deadline
--   slow count: of them, those slower than nine of ten removals of the first arm, or never offline
--   pin_bytes bytes: moved by long-term pins
--   pin_ns ns: time of those moves, waited for by the pinning task
--   pins count: pin calls
--   pin_p99_ns ns: 99 % quantile of the time a caller waited for a pin; null without pins
--   pin_failures count: pins that failed
--   oom_kills count: processes killed for want of memory
--   workloads count: workloads of the plan
--   flow_us_lost flow-us: flows x microseconds they were not served
--   headroom_pages pages: smallest kernel-zone head-room of any host and sample; null unsampled
-- Notes:
--   Probes are not counted. A removal that did not go offline counts with its whole time to the
--   deadline. Head-room as in kernel_zone_headroom.
WITH asked AS (
    SELECT
        arm,
        rep,
        outcome = 'stuck' OR reset AS hung,
        CASE WHEN outcome = 'offlined' THEN ended_ns ELSE deadline_ns END - issued_ns AS time_ns,
        outcome = 'offlined' AS is_offline,
        coalesce(
            deadline_ns >= min(deadline_ns) FILTER (WHERE outcome = 'censored') OVER (), false
        ) AS cut_short
    FROM requests
    WHERE kind = 'removal'
),
by_time AS (
    SELECT
        time_ns,
        row_number() OVER (ORDER BY time_ns) AS rank,
        count(*) OVER () AS n
    FROM asked
    JOIN arms USING (arm)
    WHERE position = 0 AND NOT cut_short
),
yardstick AS (
    SELECT min(time_ns) FILTER (WHERE 10 * rank >= 9 * n) AS slow_ns
    FROM by_time
),
removed AS (
    SELECT
        arm,
        rep,
        count(*) AS requests,
        count(*) FILTER (WHERE hung) AS hung,
        count(*) FILTER (WHERE NOT cut_short) AS timed,
        sum(time_ns) FILTER (WHERE NOT cut_short) AS time_ns,
        count(*) FILTER (WHERE NOT cut_short AND (time_ns > slow_ns OR NOT is_offline)) AS slow
    FROM asked
    CROSS JOIN yardstick
    GROUP BY arm, rep
),
tries AS (
    SELECT a.arm, a.rep, a.attempt, a.unavailable_ns
    FROM attempts AS a
    JOIN requests AS r USING (arm, rep, request)
    WHERE r.kind = 'removal'
),
away AS (
    SELECT arm, rep, sum(unavailable_ns) AS unavailable_ns
    FROM tries
    GROUP BY arm, rep
),
moves AS (
    SELECT
        m.arm,
        m.rep,
        sum(m.bytes) FILTER (WHERE m.reason = 'longterm_pin') AS pin_bytes,
        sum(m.latency_ns) FILTER (WHERE m.reason = 'longterm_pin') AS pin_ns,
        sum(m.bytes) FILTER (WHERE t.attempt IS NOT NULL) AS offline_bytes,
        sum(m.latency_ns) FILTER (WHERE t.attempt IS NOT NULL) AS offline_ns
    FROM migrations AS m
    LEFT JOIN tries AS t
        ON m.reason = 'memory_hotplug'
        AND t.arm = m.arm AND t.rep = m.rep AND t.attempt = m.cause
    GROUP BY m.arm, m.rep
),
calls AS (
    SELECT arm, rep, pin, sum(latency_ns)::BIGINT AS latency_ns
    FROM pins
    GROUP BY arm, rep, pin
),
ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY arm, rep ORDER BY latency_ns) AS rank,
        count(*) OVER (PARTITION BY arm, rep) AS n
    FROM calls
),
waits AS (
    SELECT
        arm,
        rep,
        count(*) AS pins,
        min(latency_ns) FILTER (WHERE 100 * rank >= 99 * n) AS pin_p99_ns
    FROM ranked
    GROUP BY arm, rep
),
mishaps AS (
    SELECT
        arm,
        rep,
        count(*) FILTER (WHERE kind = 'pin_failed') AS pin_failures,
        count(*) FILTER (WHERE kind = 'oom_kill') AS oom_kills
    FROM incidents
    GROUP BY arm, rep
),
users AS (
    SELECT arm, rep, count(*) AS workloads, sum(flow_us_lost) AS flow_us_lost
    FROM workloads
    GROUP BY arm, rep
),
rooms AS (
    SELECT
        arm,
        rep,
        greatest(sum(free_pages + file_pages - min_pages), 0)::BIGINT AS room
    FROM host_samples
    WHERE NOT is_movable(zone)
    GROUP BY arm, rep, host, time_ns
),
tightest AS (
    SELECT arm, rep, min(room) AS headroom_pages
    FROM rooms
    GROUP BY arm, rep
)
SELECT
    arm,
    rep,
    coalesce(requests, 0) AS requests,
    coalesce(hung, 0) AS hung,
    coalesce(offline_bytes, 0)::BIGINT AS offline_bytes,
    coalesce(offline_ns, 0)::BIGINT AS offline_ns,
    coalesce(unavailable_ns, 0)::BIGINT AS unavailable_ns,
    coalesce(timed, 0) AS timed,
    coalesce(time_ns, 0)::BIGINT AS time_ns,
    coalesce(slow, 0) AS slow,
    coalesce(pin_bytes, 0)::BIGINT AS pin_bytes,
    coalesce(pin_ns, 0)::BIGINT AS pin_ns,
    coalesce(pins, 0) AS pins,
    pin_p99_ns,
    coalesce(pin_failures, 0) AS pin_failures,
    coalesce(oom_kills, 0) AS oom_kills,
    coalesce(workloads, 0) AS workloads,
    coalesce(flow_us_lost, 0)::BIGINT AS flow_us_lost,
    headroom_pages
FROM units
JOIN arms USING (arm)
LEFT JOIN removed USING (arm, rep)
LEFT JOIN away USING (arm, rep)
LEFT JOIN moves USING (arm, rep)
LEFT JOIN waits USING (arm, rep)
LEFT JOIN mishaps USING (arm, rep)
LEFT JOIN users USING (arm, rep)
LEFT JOIN tightest USING (arm, rep)
ORDER BY position, rep
