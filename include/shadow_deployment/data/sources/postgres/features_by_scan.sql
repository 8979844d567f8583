-- The same rows where no index finds a key: the whole table is read once.
SELECT "request place" - 1 AS "request place", :names
FROM (
    SELECT "request place", :columns, rank() OVER (PARTITION BY "request place" ORDER BY l.:"known_at" DESC) AS "place in time"
    FROM unnest(:'ids'::text[], :'times'::timestamptz[])
        WITH ORDINALITY AS requests ("request id", "requested at", "request place")
    JOIN :"table" AS l ON :match AND l.:"known_at" <= :moment
) AS known
WHERE "place in time" = 1
