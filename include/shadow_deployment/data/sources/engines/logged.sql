-- What some columns of the log hold for these requests of a window. Of an id that is there twice, the earliest comes last.
SELECT :text AS request_id, :values
FROM (SELECT request_id AS "request id" FROM requests)
JOIN files ON :match
WHERE :time >= :start AND :time < :end
ORDER BY 1, :moment DESC
