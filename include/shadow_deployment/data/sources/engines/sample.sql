-- The requests of a window with the smallest keyed hashes of each stratum, in the order of the draw: at least as many as
-- are drawn, and few more. A request without an id has the smallest hash, so that it is drawn and seen. Hashes are
-- compared as text, whose order is that of the numbers, so that only the few rows that are sorted cost more than SHA-256.
WITH keyed AS (
    SELECT :id AS request_id, :moment AS requested_at, :stratum AS stratum, :hash AS "keyed hash", :columns
    FROM (SELECT * FROM files WHERE :time >= :since AND :time < :end :few :once)
    WHERE :time >= :start
)
SELECT request_id, requested_at, stratum, :names
FROM keyed JOIN design USING (stratum)
WHERE "keyed hash" < "candidate hashes"
ORDER BY stratum, substr("keyed hash", 1, 13), request_id, requested_at
