-- The labels of some of a day's requests; one that another contradicts counts for nothing.
SELECT array_agg(ordinal), array_agg(value)
FROM shadow.label
WHERE day = :'day' AND snapshot_id = :'snapshot' AND conflict IS NULL AND ordinal >= :'first' AND ordinal < :'end'
