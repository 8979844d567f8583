-- The requests of a window with the smallest keyed hashes of each stratum, in the order of the draw: at least as many as
-- are drawn, and few more. A request without an id has the smallest hash, so that it is drawn and seen.
WITH hashed AS (
    SELECT *, coalesce(keyed_hash($salt || ':' || :hashed), -1) AS "keyed hash"
    FROM files
    WHERE :time >= :since AND :time < :end
),
log AS (
    SELECT *
    FROM hashed
    WHERE "keyed hash" < (SELECT max("candidate hashes") FROM design)
    :once
),
keyed AS (
    SELECT :id AS request_id, :moment AS requested_at, :stratum AS stratum, "keyed hash", :columns
    FROM log
    WHERE :time >= :start
)
SELECT request_id, requested_at, stratum, :names
FROM keyed JOIN design USING (stratum)
WHERE "keyed hash" < "candidate hashes"
ORDER BY stratum, "keyed hash", request_id, requested_at
