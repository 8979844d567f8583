-- The labels of these requests that became known in (since, until], each column as one array. The planner cannot see how
-- many ids there are and assumes few, so it looks each up in an index where there is one, however large the table is.
SELECT array_agg("request place"), array_agg((:value)::float8), array_agg(l.:"time"::timestamptz)
FROM unnest((SELECT :'ids'::text[])) WITH ORDINALITY AS requests ("request id", "request place")
JOIN :"table" AS l ON l.:"id" = CAST("request id" AS :type)
WHERE l.:"time" > :'since'::timestamptz AND l.:"time" <= :'until'::timestamptz AND :value IS NOT NULL
