-- The stratum of each request of a span of time, to be counted by the caller: so it can be read a few rows at a time.
SELECT :stratum AS stratum
FROM :"table"
WHERE :"time" >= :'start'::timestamptz AND :"time" < :'end'::timestamptz
