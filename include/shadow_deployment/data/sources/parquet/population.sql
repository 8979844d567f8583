-- How many requests a window holds, by stratum.
SELECT :stratum AS stratum, count(*) AS population
FROM (SELECT * FROM files WHERE :time >= :start AND :time < :end :once)
GROUP BY 1
ORDER BY 1
