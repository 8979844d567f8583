-- How many requests a piece of a window holds, by stratum; before that stands how many it holds in all, and the time of
-- its last one. It begins at :after and has :rows requests, with all that are of the same moment as the last of these;
-- fewer where the window ends.
SELECT (sum(count(*)) OVER ())::bigint AS "piece rows", max(max(at)) OVER () AS "piece last",
    stratum, count(*) AS population
FROM (
    SELECT :stratum AS stratum, :"time"::timestamptz AS at
    FROM :"table"
    WHERE :"time" >= :after AND :"time" < :'end'::timestamptz
    ORDER BY :"time"
    FETCH FIRST :rows ROWS WITH TIES
) AS piece
GROUP BY stratum
