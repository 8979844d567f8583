-- The labels of these requests that became known in (since, until], each column as one array, and the beginning of each
-- value that is no label. The planner cannot see how many ids there are and assumes few, so it looks each up in an index
-- where there is one, however large the table is.
SELECT array_agg("request place"), array_agg(:value), array_agg(:moment),
    array_agg(left(CAST(:label AS text), 40)) FILTER (WHERE :value = 'NaN')
FROM unnest((SELECT :'ids'::text[])) WITH ORDINALITY AS requests ("request id", "request place")
JOIN :"table" AS l ON :match
WHERE :moment > :'since'::timestamptz AND :moment <= :'until'::timestamptz AND :label IS NOT NULL
