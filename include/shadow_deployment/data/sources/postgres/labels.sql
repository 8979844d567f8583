-- The labels of these requests that became known in (since, until], each column as one array. The planner is not shown
-- how many ids there are: it takes them for few, and looks each up where there is an index, however large the table is.
SELECT array_agg("wanted place"), array_agg((:value)::float8), array_agg(l.:"time"::timestamptz)
FROM unnest((SELECT :'ids'::text[])) WITH ORDINALITY AS wanted ("wanted id", "wanted place")
JOIN :"table" AS l ON l.:"id" = CAST("wanted id" AS :type)
WHERE l.:"time" > :'since'::timestamptz AND l.:"time" <= :'until'::timestamptz AND :value IS NOT NULL
