-- The newest requests of a span of time, with the columns of a sample.
SELECT :id AS request_id, :"time"::timestamptz AS requested_at, :columns
FROM :"table"
WHERE :"time" >= :'start'::timestamptz AND :"time" < :'end'::timestamptz
ORDER BY :"time" DESC
LIMIT :'most'
