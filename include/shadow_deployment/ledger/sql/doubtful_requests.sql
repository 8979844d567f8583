-- The requests of which a label was ever contradicted, invalid or early: production may have corrected it.
WITH doubtful AS MATERIALIZED (
    SELECT DISTINCT a.ordinal
    FROM shadow.label_arrival AS b
    CROSS JOIN LATERAL unnest(b.ordinal, b.conflict_at, b.invalid_at, b.early_at) AS a (ordinal, conflict_at, invalid_at, early_at)
    WHERE b.day = :'day' AND b.snapshot_id = :'snapshot'
      AND (b.conflict_at IS NOT NULL OR b.invalid_at IS NOT NULL OR b.early_at IS NOT NULL)
      AND (a.conflict_at < 'infinity' OR a.invalid_at < 'infinity' OR a.early_at < 'infinity')
)
SELECT d.ordinal, q.request_id
FROM shadow.request_batch AS b
CROSS JOIN LATERAL unnest(b.:"column") WITH ORDINALITY AS q (request_id, place)
JOIN doubtful AS d ON d.ordinal = b.first_ordinal + q.place - 1
WHERE b.day = :'day' AND b.snapshot_id = :'snapshot'
  AND EXISTS (SELECT FROM doubtful AS e WHERE e.ordinal BETWEEN b.first_ordinal AND b.first_ordinal + b.rows - 1)
ORDER BY q.request_id
