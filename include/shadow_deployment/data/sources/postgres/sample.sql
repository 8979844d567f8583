-- The requests of a span of time, which is :inside, with the smallest keyed hashes of each stratum: at least as many as
-- are drawn, and few more, in no order. A request without an id has the smallest hash, so that it is drawn and seen.
-- Where every request is a candidate, no hash is compared, so that Postgres computes it once.
WITH design AS (
    SELECT * FROM unnest(:'strata'::text[], :'candidates'::bigint[]) AS d (stratum, "candidate hashes")
),
keyed AS (
    SELECT
        :id AS request_id,
        :"time"::timestamptz AS requested_at,
        :stratum AS stratum,
        coalesce(
            ('x' || encode(substr(sha256(convert_to(:'salt' || ':' || :hashed, 'UTF8')), 1, 7), 'hex'))::bit(52)::bigint,
            -1
        ) AS "keyed hash",
        :columns
    FROM :"table"
    WHERE :inside
)
SELECT request_id, requested_at, stratum, "keyed hash", :names
FROM keyed JOIN design USING (stratum)
WHERE :'everything'::boolean OR "keyed hash" < "candidate hashes"
