-- The days and challengers whose evidence is missing or rests on something that has changed since.
SELECT s.day, c.id
FROM shadow.snapshot AS s
CROSS JOIN unnest(:'challengers'::int[]) AS c (id)
JOIN shadow.validation AS inputs
    ON inputs.snapshot_id = s.id AND inputs.challenger_id IS NULL AND inputs.success
JOIN shadow.validation AS predictions
    ON predictions.snapshot_id = s.id AND predictions.challenger_id = c.id AND predictions.success
LEFT JOIN shadow.comparison AS done ON done.snapshot_id = s.id AND done.challenger_id = c.id
WHERE s.id = ANY(:'snapshots')
  AND (
      done.snapshot_id IS NULL
      OR done.label_revision <> s.label_revision
      OR done.statement <> :'statement'
  )
ORDER BY s.day, c.id
