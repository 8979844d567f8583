-- Enter labels, one a request: the first one known stands; one that contradicts it is kept beside it, and the request
-- then counts for nothing.
INSERT INTO shadow.label AS l (day, snapshot_id, ordinal, value, known_at, conflict)
SELECT day, snapshot_id, ordinal, value, known_at, conflict FROM arrived_label
ON CONFLICT (day, snapshot_id, ordinal) DO UPDATE SET
    conflict = CASE WHEN excluded.value <> l.value THEN excluded.value ELSE excluded.conflict END
WHERE l.conflict IS NULL AND (excluded.value <> l.value OR excluded.conflict IS NOT NULL)
