-- The rows of arrays that overlap a range of a day's requests, in the order of the draw; the caller cuts the first and last.
SELECT :columns
FROM shadow.:"table"
WHERE day = :'day' AND snapshot_id = :'snapshot':whose
  AND first_ordinal < :'end' AND first_ordinal + rows > :'first'
ORDER BY first_ordinal
