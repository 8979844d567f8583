-- The same labels, where an index finds many ids at once. OFFSET 0 makes it find all of them before anything else is
-- filtered; where ids are dense, it goes from one leaf to the next. Then labels are matched with the places of their ids.
-- The planner cannot see how many ids the index is searched for, but how many are matched: so it hashes them.
SELECT array_agg("request place"), array_agg(:value), array_agg(:moment),
    array_agg(left(CAST(:label AS text), 40)) FILTER (WHERE :value = 'NaN')
FROM unnest(:'ids'::text[]) WITH ORDINALITY AS requests ("request id", "request place")
JOIN (
    SELECT * FROM :"table" WHERE :"id" = ANY (CAST((SELECT :'ids'::text[]) AS :type[])) OFFSET 0
) AS l ON l.:"id" = CAST("request id" AS :type)
WHERE :moment > :'since'::timestamptz AND :moment <= :'until'::timestamptz AND :label IS NOT NULL
