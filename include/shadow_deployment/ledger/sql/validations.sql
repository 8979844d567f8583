-- What the expectations said of these snapshots' inputs, and of the predictions of one challenger, or of all where null.
SELECT
    s.day, v.snapshot_id, v.challenger_id, m.name, m.version, v.success, v.evaluated, v.validated_at,
    CASE WHEN NOT v.success THEN v.failures END AS failures
FROM shadow.newest_validation AS v
JOIN shadow.snapshot AS s ON s.id = v.snapshot_id
LEFT JOIN shadow.model_version AS m ON m.id = v.challenger_id
WHERE v.snapshot_id = ANY(:'snapshots'::int[])
  AND (v.challenger_id IS NULL OR :'challenger'::int IS NULL OR v.challenger_id = :'challenger')
ORDER BY s.day, v.challenger_id NULLS FIRST
