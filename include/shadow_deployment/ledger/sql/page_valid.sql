-- Which of these snapshots met their expectations: the inputs where challenger_id is null, else its predictions.
SELECT challenger_id, array_agg(snapshot_id)
FROM shadow.validation
WHERE snapshot_id = ANY(:'snapshots'::int[]) AND success
GROUP BY challenger_id
