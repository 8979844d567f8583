-- The labels of these requests that became known in (since, until].
SELECT wanted.ordinal, :value AS value, l.:"time"::timestamptz AS known_at
FROM unnest(:'ordinals'::int[], :'ids'::text[]) AS wanted (ordinal, id)
JOIN :"table" AS l ON l.:"id" = CAST(wanted.id AS :type)
WHERE l.:"time" > :'since'::timestamptz AND l.:"time" <= :'until'::timestamptz AND :value IS NOT NULL
ORDER BY wanted.ordinal, known_at, value
