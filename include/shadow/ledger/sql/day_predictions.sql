-- One challenger's answers to some of a day's requests, in the order of the draw, as they lie: what the first and the last
-- of these batches hold beyond the requests is to be left out.
SELECT :columns
FROM shadow.prediction_batch
WHERE day = :'day' AND snapshot_id = :'snapshot' AND challenger_id = :'challenger'
  AND first_ordinal < :'end' AND first_ordinal + rows > :'first'
ORDER BY first_ordinal
