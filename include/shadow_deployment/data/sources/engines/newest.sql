-- The newest requests of a window, with the columns of a sample.
SELECT :id AS request_id, :moment AS requested_at, :columns
FROM (SELECT * FROM files WHERE :time >= :start AND :time < :end :once)
ORDER BY :moment DESC
LIMIT $most
