-- Whether there are rows, and none of them has a time.
SELECT count(*) > 0 AND count(:moment) = 0 AS are_missing FROM files
