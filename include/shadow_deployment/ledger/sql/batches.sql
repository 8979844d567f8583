-- What lies as arrays of some of a day's requests, in the order of the draw: what the first and the last row hold beyond
-- these requests is to be left out.
SELECT :columns
FROM shadow.:"table"
WHERE day = :'day' AND snapshot_id = :'snapshot':whose
  AND first_ordinal < :'end' AND first_ordinal + rows > :'first'
ORDER BY first_ordinal
