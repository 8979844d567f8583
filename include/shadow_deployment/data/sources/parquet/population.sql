-- How many requests a window holds, by stratum.
SELECT :stratum AS stratum, count(*) AS population
FROM (
    SELECT *
    FROM read_parquet($files, union_by_name = true, hive_partitioning = false)
    WHERE :time >= :start AND :time < :end
    :once
)
GROUP BY 1
ORDER BY 1
