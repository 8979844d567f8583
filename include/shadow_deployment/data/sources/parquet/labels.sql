-- The labels of these requests that became known in (since, until].
SELECT "wanted ordinal" AS ordinal, :value AS value, :moment AS known_at
FROM (SELECT ordinal AS "wanted ordinal", request_id AS "wanted id" FROM wanted) AS wanted
JOIN read_parquet($files, union_by_name = true, hive_partitioning = false) AS l ON l.:"id" = CAST("wanted id" AS :type)
WHERE :time > :start AND :time <= :end AND :value IS NOT NULL
