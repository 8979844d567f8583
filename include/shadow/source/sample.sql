-- The requests of a window with the smallest keyed hashes, `size` of them in each stratum, in the order of the draw.
-- A request without an id sorts first, so that it is drawn and seen. `candidates` spares most rows the sort.
WITH design AS (
    SELECT * FROM unnest(:'strata'::text[], :'sizes'::int[], :'candidates'::bigint[]) AS d (stratum, size, candidates)
),
keyed AS (
    SELECT
        :"id"::text AS request_id,
        :"time"::timestamptz AS requested_at,
        :stratum AS stratum,
        coalesce(
            ('x' || substr(encode(sha256(convert_to(:'salt' || ':' || :"id"::text, 'UTF8')), 'hex'), 1, 13))::bit(52)::bigint,
            -1
        ) AS hash,
        :columns
    FROM :"table"
    WHERE :"time" >= :'start'::timestamptz AND :"time" < :'end'::timestamptz
),
ranked AS (
    SELECT keyed.*, design.size, row_number() OVER (PARTITION BY stratum ORDER BY hash, request_id, requested_at) AS place
    FROM keyed JOIN design USING (stratum)
    WHERE hash < candidates
)
SELECT request_id, requested_at, stratum, :names
FROM ranked
WHERE place <= size
ORDER BY stratum COLLATE "C", place
