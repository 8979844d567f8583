-- The most frequent error of a challenger on a snapshot, where no request has an answer.
SELECT e.text, count(*)
FROM shadow.prediction_batch AS b
CROSS JOIN LATERAL unnest(b.error) AS e (text)
WHERE b.day = :'day' AND b.snapshot_id = :'snapshot' AND b.challenger_id = :'challenger'
    AND NOT EXISTS (
        SELECT FROM shadow.scoring AS s
        WHERE s.snapshot_id = :'snapshot' AND s.challenger_id = :'challenger' AND s.errors < s.rows
    )
GROUP BY 1
ORDER BY 2 DESC, 1
LIMIT 1
