-- The features of these requests as they were known when each was made: of each key the rows with the greatest :moment that
-- is not after the request.
WITH newest AS (
    SELECT "request place", "request id", "newest known"
    FROM (SELECT place AS "request place", key AS "request id", requested_at AS "requested at" FROM requests)
    ASOF JOIN (SELECT *, :moment AS "newest known" FROM files) AS files
        ON :match AND "requested at" >= "newest known"
)
SELECT "request place", :columns
FROM newest JOIN (SELECT *, :moment AS "known moment" FROM files) AS files ON :match AND "known moment" = "newest known"
