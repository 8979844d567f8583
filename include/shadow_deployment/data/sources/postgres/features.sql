-- The features of these requests as they were known when each was made: of each key the rows with the greatest
-- :"known_at" that is not after :moment. Two look-ups a request in an index on the key and that time; OFFSET 0 keeps the
-- second from becoming a join, which the planner would make by the time alone.
SELECT "request place" - 1 AS "request place", :names
FROM unnest(:'ids'::text[], :'times'::timestamptz[])
    WITH ORDINALITY AS requests ("request id", "requested at", "request place")
CROSS JOIN LATERAL (
    SELECT max(l.:"known_at") AS "newest known" FROM :"table" AS l WHERE :match AND l.:"known_at" <= :moment
) AS newest
CROSS JOIN LATERAL (
    SELECT :columns FROM :"table" AS l WHERE :match AND l.:"known_at" = "newest known" OFFSET 0
) AS known
