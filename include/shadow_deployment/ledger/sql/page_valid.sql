-- Which of these snapshots were checked: those whose inputs met their expectations where challenger_id is null, else those
-- whose predictions are complete, whatever was said of them.
SELECT challenger_id, array_agg(snapshot_id)
FROM shadow.validation
WHERE snapshot_id = ANY(:'snapshots'::int[]) AND (success OR challenger_id IS NOT NULL)
GROUP BY challenger_id
