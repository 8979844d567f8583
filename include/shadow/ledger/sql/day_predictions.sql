-- One challenger's answers to some of a day's requests, each column as one array without nulls.
SELECT array_agg(ordinal), array_agg(coalesce(value, 'NaN')), :latency, :probabilities
FROM shadow.prediction
WHERE day = :'day' AND snapshot_id = :'snapshot' AND challenger_id = :'challenger'
  AND ordinal >= :'first' AND ordinal < :'end'
