-- The days and challengers whose evidence is missing or was computed from labels or by a method that have changed since;
-- only those whose inputs met their expectations, and whose predictions are complete and were checked.
SELECT s.day, c.id
FROM shadow.labelled_snapshot AS s
CROSS JOIN unnest(:'challengers'::int[]) AS c (id)
LEFT JOIN shadow.comparison AS done ON (done.snapshot_id, done.challenger_id) = (s.id, c.id)
WHERE s.id = ANY(:'snapshots')
  AND (done.label_revision, done.method_digest) IS DISTINCT FROM (s.label_revision, :'method_digest')
  AND EXISTS (SELECT FROM shadow.validation AS v WHERE v.snapshot_id = s.id AND v.challenger_id IS NULL AND v.success)
  AND EXISTS (SELECT FROM shadow.validation AS v WHERE (v.snapshot_id, v.challenger_id) = (s.id, c.id))
ORDER BY s.day, c.id
