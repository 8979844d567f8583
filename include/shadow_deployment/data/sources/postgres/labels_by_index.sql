-- The same labels, where an index finds many ids at once. It is asked for all of them before anything else is looked at,
-- and goes from one leaf to the next where ids are dense; then each label is matched with the places of its id. The
-- planner is not shown how many ids the index is asked for, and is how many are matched: so it hashes them.
SELECT array_agg("wanted place"), array_agg((:value)::float8), array_agg(l.:"time"::timestamptz)
FROM unnest(:'ids'::text[]) WITH ORDINALITY AS wanted ("wanted id", "wanted place")
JOIN (
    SELECT * FROM :"table" WHERE :"id" = ANY (CAST((SELECT :'ids'::text[]) AS :type[])) OFFSET 0
) AS l ON l.:"id" = CAST("wanted id" AS :type)
WHERE l.:"time" > :'since'::timestamptz AND l.:"time" <= :'until'::timestamptz AND :value IS NOT NULL
