-- demands
-- Question: Did every arm get the same demands, by their fingerprint (nothing listed: it did)?
-- Columns:
--   rep: replication
--   demands: sha256 of all that was demanded
--   arms: arms that have it, in the order of the scenario
-- Notes:
--   The fingerprint is taken of the plan that a unit ran: hosts, workloads, references, removals and
--   probes with all their keys. Runs of versions that kept none have NULL and are not judged here;
--   pairing compares the logged rows of any runs.
SELECT
    rep,
    demands,
    string_agg(arm, ', ' ORDER BY position) AS arms
FROM units
JOIN arms USING (arm)
WHERE demands IS NOT NULL
    AND rep IN (SELECT rep FROM units GROUP BY rep HAVING count(DISTINCT demands) > 1)
GROUP BY rep, demands
ORDER BY rep, min(position)
