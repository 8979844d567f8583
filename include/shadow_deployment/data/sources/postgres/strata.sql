-- The stratum of each request of a span of time, to be counted elsewhere: a count of few rows costs most of all a plan.
SELECT :stratum AS stratum
FROM :"table"
WHERE :"time" >= :'start'::timestamptz AND :"time" < :'end'::timestamptz
