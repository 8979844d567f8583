-- How many requests a span of time holds, by stratum.
SELECT :stratum AS stratum, count(*) AS population
FROM :"table"
WHERE :"time" >= :'start'::timestamptz AND :"time" < :'end'::timestamptz
GROUP BY 1
