-- Delete label rows that are rewritten in the same transaction.
DELETE FROM shadow.label_batch
WHERE day = :'day' AND snapshot_id = :'snapshot' AND first_ordinal = ANY(:'first_ordinals'::int[])
