-- The features of these requests as they were known when each was made: of each key the rows with the greatest :moment that is
-- not after the request. Of the rows that were known before all of them, only a key's newest can be that, see :once.
WITH known AS (
    SELECT "request id" AS "known id", :moment AS "known moment", :columns
    FROM (
        SELECT *
        FROM (SELECT DISTINCT request_id AS "request id" FROM requests)
        JOIN files ON :match
        WHERE :moment <= $end::timestamptz
        :once
    )
),
moments AS (
    SELECT ordinal AS "request place", request_id AS "asked id", requested_at AS "at", NULL::timestamptz AS "known at"
    FROM requests
    UNION ALL
    SELECT NULL, "known id", "known moment", "known moment" FROM known
),
newest AS (
    SELECT "request place", "asked id", max("known at") OVER (PARTITION BY "asked id" ORDER BY "at") AS "newest known"
    FROM moments
)
SELECT "request place", :names
FROM newest JOIN known ON "asked id" = "known id" AND "newest known" = "known moment"
WHERE "request place" IS NOT NULL
