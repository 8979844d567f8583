-- Enter labels: the first one known stands; one that contradicts it is kept beside it, and the request then counts for
-- nothing. Returns how many rows changed.
WITH arrived AS (
    SELECT
        ordinal,
        (array_agg(value ORDER BY known_at, value))[1] AS value,
        min(known_at) AS known_at,
        max(value) FILTER (WHERE value <> first_value) AS conflict
    FROM (
        SELECT *, first_value(value) OVER (PARTITION BY ordinal ORDER BY known_at, value) AS first_value
        FROM arrived_labels
    ) AS a
    GROUP BY ordinal
),
changed AS (
    INSERT INTO shadow.label AS l (day, snapshot_id, ordinal, value, known_at, conflict)
    SELECT :'day', :'snapshot', ordinal, value, known_at, conflict FROM arrived
    ON CONFLICT (day, snapshot_id, ordinal) DO UPDATE SET
        conflict = CASE WHEN excluded.value <> l.value THEN excluded.value ELSE excluded.conflict END
    WHERE l.conflict IS NULL AND (excluded.value <> l.value OR excluded.conflict IS NOT NULL)
    RETURNING 1
)
SELECT count(*) FROM changed
