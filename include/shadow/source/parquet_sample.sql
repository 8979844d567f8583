-- The requests of a window with the smallest keyed hashes, `size` of them in each stratum, in the order of the draw.
-- A request without an id sorts first, so that it is drawn and seen. `candidates` spares most rows the sort.
WITH design AS (
    SELECT unnest($strata) AS stratum, unnest($sizes) AS size, unnest($candidates) AS candidates
),
hashed AS (
    SELECT *, coalesce(('0x' || substr(sha256($salt || ':' || :id), 1, 13))::BIGINT, -1) AS "keyed hash"
    FROM read_parquet($files, union_by_name = true, hive_partitioning = false)
    WHERE :time >= :start AND :time < :end
),
log AS (
    SELECT *
    FROM hashed
    WHERE "keyed hash" < (SELECT max(candidates) FROM design)
    :once
),
keyed AS (
    SELECT :id AS request_id, :moment AS requested_at, :stratum AS stratum, "keyed hash" AS hash, :columns
    FROM log
),
ranked AS (
    SELECT keyed.*, design.size, row_number() OVER (PARTITION BY stratum ORDER BY hash, request_id, requested_at) AS place
    FROM keyed JOIN design USING (stratum)
    WHERE hash < candidates
)
SELECT request_id, requested_at, stratum, :names
FROM ranked
WHERE place <= size
ORDER BY stratum, place
