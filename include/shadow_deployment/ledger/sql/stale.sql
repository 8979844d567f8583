-- The days and challengers that may be compared, each with what its newest evidence was computed from, null where there is
-- none, and whether as many earlier days are there as were looked at for shared labels: the inputs met their expectations, and all requests were answered, whatever the expectations say of the answers.
SELECT s.id, c.id, done.label_revision, done.is_final, done.method_digest, done.earlier_days = earlier.days
FROM shadow.snapshot AS s
CROSS JOIN unnest(:'challengers'::int[]) AS c (id)
LEFT JOIN LATERAL (
    SELECT label_revision, is_final, method_digest, earlier_days
    FROM shadow.comparison
    WHERE (snapshot_id, challenger_id) = (s.id, c.id)
    ORDER BY id DESC
    LIMIT 1
) AS done ON true
CROSS JOIN LATERAL (
    SELECT count(*) AS days FROM shadow.snapshot AS e
    WHERE (e.deployment_id, e.design) = (s.deployment_id, s.design) AND e.day < s.day AND e.day >= s.day - :'lookback'::int
) AS earlier
WHERE s.id = ANY(:'snapshots')
  AND EXISTS (
      SELECT FROM shadow.newest_validation AS v WHERE v.snapshot_id = s.id AND v.challenger_id IS NULL AND v.success)
  AND EXISTS (SELECT FROM shadow.validation AS v WHERE (v.snapshot_id, v.challenger_id) = (s.id, c.id))
ORDER BY s.day, c.id
