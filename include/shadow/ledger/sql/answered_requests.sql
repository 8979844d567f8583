-- Some of a day's requests: each column as one array, all in the same order.
SELECT :columns
FROM shadow.request
WHERE day = :'day' AND snapshot_id = :'snapshot' AND ordinal >= :'first' AND ordinal < :'end'
