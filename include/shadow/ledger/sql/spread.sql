-- Between which values all but two in a hundred answers lie, champion's and challenger's together.
SELECT q[1], q[2]
FROM (
    SELECT percentile_disc(ARRAY[0.01, 0.99]) WITHIN GROUP (ORDER BY u.answer) AS q
    FROM shadow.request AS r
    JOIN shadow.prediction AS p USING (day, snapshot_id, ordinal)
    CROSS JOIN LATERAL (VALUES (r.champion), (p.value)) AS u (answer)
    WHERE r.day = :'day' AND r.snapshot_id = :'snapshot' AND p.day = :'day' AND p.challenger_id = :'challenger'
      AND r.champion IS NOT NULL AND p.value IS NOT NULL
) AS a
