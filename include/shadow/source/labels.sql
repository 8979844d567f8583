-- The labels of these requests that became known in (since, until]; several rows for one request are told apart above.
SELECT wanted.ordinal, :value AS value, l.:"time"::timestamptz AS known_at
FROM unnest(:'ordinals'::int[], :'ids'::text[]) AS wanted (ordinal, id)
JOIN :"table" AS l ON l.:"id" = CAST(wanted.id AS :type)
WHERE l.:"time" > :'since'::timestamptz AND l.:"time" <= :'until'::timestamptz AND l.:"value" IS NOT NULL
ORDER BY wanted.ordinal, known_at, value
