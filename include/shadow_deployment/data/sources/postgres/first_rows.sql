-- The requests of a span of time, each with its earliest row alone.
SELECT DISTINCT ON (:ids) *
FROM :"table"
WHERE :"time" >= :'start'::timestamptz AND :"time" < :'end'::timestamptz
ORDER BY :ids, :"time"
