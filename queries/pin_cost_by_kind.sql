-- pin_cost_by_kind
-- Question: For which kinds of workload do long-term pins fail, move pages, or wait?
-- Columns:
--   arm: policies compared, in the order of the scenario
--   kind: kind of the workload in the scenario
--   workloads count: workloads that pinned
--   pins count: pin calls
--   failed count: of them without success
--   failed_share share: failed / pins
--   failed_low share: lower end of the Wilson 95 % interval
--   failed_high share: upper end of the Wilson 95 % interval
--   pinned_pages pages: pages pinned by the others
--   migrated_share share: of them moved before
--   gib_ns ns: what a workload waited for each GiB pinned, mean over workloads
--   gib_low_ns ns: lower end of its 95 % interval; null with one workload
--   gib_high_ns ns: upper end of its 95 % interval
-- Notes:
--   Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
--   The interval of the mean is normal, over workloads; failed pins are left out of it.
WITH calls AS (
    SELECT
        arm, rep, pin, workload,
        max(errno) AS errno,
        sum(pinned_pages)::BIGINT AS pinned_pages,
        sum(migrated_pages)::BIGINT AS migrated_pages,
        sum(latency_ns)::BIGINT AS latency_ns
    FROM pins
    GROUP BY arm, rep, pin, workload
),
per_workload AS (
    SELECT
        c.arm, c.rep, c.workload, w.kind,
        count(*) AS pins,
        count(*) FILTER (WHERE c.errno <> 0) AS failed,
        coalesce(sum(c.pinned_pages) FILTER (WHERE c.errno = 0), 0)::BIGINT AS pinned_pages,
        coalesce(sum(c.migrated_pages) FILTER (WHERE c.errno = 0), 0)::BIGINT AS migrated_pages,
        sum(c.latency_ns) FILTER (WHERE c.errno = 0)::BIGINT AS latency_ns
    FROM calls AS c
    INNER JOIN workloads AS w ON w.arm = c.arm AND w.rep = c.rep AND w.workload = c.workload
    GROUP BY c.arm, c.rep, c.workload, w.kind
),
per_kind AS (
    SELECT
        arm, kind,
        count(*) AS workloads,
        sum(pins)::BIGINT AS pins,
        sum(failed)::BIGINT AS failed,
        sum(pinned_pages)::BIGINT AS pinned_pages,
        sum(migrated_pages)::BIGINT AS migrated_pages,
        avg(latency_ns * 262144.0::DOUBLE / nullif(pinned_pages, 0)) AS mean_ns,
        stddev_samp(latency_ns * 262144.0::DOUBLE / nullif(pinned_pages, 0)) AS deviation_ns,
        count(latency_ns / nullif(pinned_pages, 0)) AS n,
        1.959963984540054::DOUBLE AS z
    FROM per_workload
    GROUP BY arm, kind
)
SELECT
    k.arm,
    k.kind,
    k.workloads,
    k.pins,
    k.failed,
    k.failed / k.pins AS failed_share,
    CASE
        WHEN k.failed = 0 THEN 0.0::DOUBLE
        ELSE (k.failed + z * z / 2 - z * sqrt(k.failed * (k.pins - k.failed) / k.pins + z * z / 4))
            / (k.pins + z * z)
    END AS failed_low,
    CASE
        WHEN k.failed = k.pins THEN 1.0::DOUBLE
        ELSE (k.failed + z * z / 2 + z * sqrt(k.failed * (k.pins - k.failed) / k.pins + z * z / 4))
            / (k.pins + z * z)
    END AS failed_high,
    k.pinned_pages,
    k.migrated_pages / nullif(k.pinned_pages, 0) AS migrated_share,
    round(k.mean_ns)::BIGINT AS gib_ns,
    round(k.mean_ns - z * k.deviation_ns / sqrt(k.n))::BIGINT AS gib_low_ns,
    round(k.mean_ns + z * k.deviation_ns / sqrt(k.n))::BIGINT AS gib_high_ns
FROM per_kind AS k
INNER JOIN arms ON arms.arm = k.arm
ORDER BY arms.position, k.kind
