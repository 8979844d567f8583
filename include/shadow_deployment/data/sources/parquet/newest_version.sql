-- The champion version that the log says last.
SELECT coalesce(:version, $unversioned)
FROM read_parquet($files, union_by_name = true, hive_partitioning = false)
WHERE :time >= :start
ORDER BY :time DESC
LIMIT 1
