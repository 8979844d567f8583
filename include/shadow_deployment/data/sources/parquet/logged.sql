-- What these requests of a window have in some columns of the log; of an id that is there twice, the earliest comes last.
SELECT :text AS request_id, :values
FROM (SELECT unnest($ids) AS "wanted id") AS wanted
JOIN read_parquet($files, union_by_name = true, hive_partitioning = false) AS l ON l.:"id" = CAST("wanted id" AS :type)
WHERE :time >= :start AND :time < :end
ORDER BY 1, :moment DESC
