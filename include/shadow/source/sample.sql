-- The requests of a window with the smallest keyed hashes of each stratum, in the order of the draw: at least as many as
-- are drawn, and few more, so that one sort is all there is. A request without an id sorts first, so that it is drawn and
-- seen.
WITH design AS (
    SELECT * FROM unnest(:'strata'::text[], :'candidates'::bigint[]) AS d (stratum, "candidate hashes")
),
keyed AS (
    SELECT
        :"id"::text AS request_id,
        :"time"::timestamptz AS requested_at,
        :stratum AS stratum,
        coalesce(
            ('x' || encode(substr(sha256(convert_to(:'salt' || ':' || :"id"::text, 'UTF8')), 1, 7), 'hex'))::bit(52)::bigint,
            -1
        ) AS "keyed hash",
        :columns
    FROM :"table"
    WHERE :"time" >= :'start'::timestamptz AND :"time" < :'end'::timestamptz
)
SELECT request_id, requested_at, stratum, :names
FROM keyed JOIN design USING (stratum)
WHERE "keyed hash" < "candidate hashes"
ORDER BY stratum COLLATE "C", "keyed hash", request_id, requested_at
