-- One challenger's answers to some of a day's requests: each column as one array, all in the same order.
SELECT :columns
FROM shadow.prediction
WHERE day = :'day' AND snapshot_id = :'snapshot' AND challenger_id = :'challenger'
  AND ordinal >= :'first' AND ordinal < :'end'
