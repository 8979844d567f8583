-- The requests of these snapshots on which champion and challenger are furthest apart.
SELECT
    r.day, r.request_id, r.champion, p.value AS challenger, l.value AS label, c.slices
FROM shadow.request AS r
JOIN shadow.prediction AS p USING (day, snapshot_id, ordinal)
JOIN shadow.cell AS c ON c.snapshot_id = r.snapshot_id AND c.cell = r.cell
LEFT JOIN shadow.label AS l
    ON l.day = r.day AND l.snapshot_id = r.snapshot_id AND l.ordinal = r.ordinal AND l.conflict IS NULL
WHERE r.day = ANY(:'days'::date[]) AND r.snapshot_id = ANY(:'snapshots'::int[])
  AND p.day = ANY(:'days'::date[]) AND p.challenger_id = :'challenger'
  AND r.champion IS NOT NULL AND p.value IS NOT NULL
  AND (r.champion, r.champion_probabilities) IS DISTINCT FROM (p.value, p.probabilities)
ORDER BY
    coalesce(
        (SELECT sum(abs(u.p - u.q)) FROM unnest(r.champion_probabilities, p.probabilities) AS u (p, q)),
        abs(r.champion - p.value)
    ) DESC, r.day, r.ordinal
LIMIT :'most'
