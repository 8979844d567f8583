-- How many requests a window holds, by stratum; where each counts once, without those that the day had before it.
SELECT :stratum AS stratum, count(*) AS population
FROM (SELECT * FROM files WHERE :time >= :since AND :time < :end :once)
WHERE :time >= :start
GROUP BY 1
ORDER BY 1
