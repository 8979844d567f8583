-- The requests of a day that are not the first of their label: an earlier one, of this day or of an earlier day's sample,
-- has the same key. A label that both can use became known within so many days. Null where the requests of an earlier
-- day are gone, so that nobody can tell.
WITH earlier AS MATERIALIZED (
    SELECT e.id, e.day, e.rows
    FROM shadow.snapshot AS s
    JOIN shadow.snapshot AS e USING (deployment_id, design)
    WHERE s.id = :'snapshot' AND e.day < s.day AND e.day >= s.day - :'lookback'::int AND e.rows > 0
),
own AS MATERIALIZED (
    SELECT
        (b.first_ordinal + q.place - 1)::int AS ordinal, q.label_key COLLATE "C" AS label_key,
        row_number() OVER (PARTITION BY q.label_key COLLATE "C" ORDER BY q.requested_at, b.first_ordinal + q.place) AS number
    FROM shadow.request_batch AS b
    CROSS JOIN LATERAL unnest(b.label_key, b.requested_at) WITH ORDINALITY AS q (label_key, requested_at, place)
    WHERE b.day = :'day' AND b.snapshot_id = :'snapshot' AND q.label_key IS NOT NULL
),
known AS (
    SELECT DISTINCT q.label_key COLLATE "C" AS label_key
    FROM earlier AS e
    JOIN shadow.request_batch AS b ON (b.day, b.snapshot_id) = (e.day, e.id)
    CROSS JOIN LATERAL unnest(b.label_key) AS q (label_key)
)
SELECT CASE WHEN NOT EXISTS (
    SELECT FROM earlier AS e
    WHERE NOT EXISTS (SELECT FROM shadow.request_batch AS b WHERE (b.day, b.snapshot_id) = (e.day, e.id))
) THEN ARRAY(
    SELECT ordinal FROM own WHERE number > 1 OR label_key IN (SELECT label_key FROM known) ORDER BY ordinal
) END
