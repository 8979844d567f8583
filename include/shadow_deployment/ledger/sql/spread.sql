-- The 1st and 99th percentile of all predictions, the champion's and the challenger's together.
WITH p AS MATERIALIZED (  -- the planner knows how many rows the view has, not how many elements the arrays have
    SELECT ordinal, value
    FROM shadow.prediction
    WHERE day = :'day' AND snapshot_id = :'snapshot_id' AND challenger_id = :'challenger_id'
),
r AS MATERIALIZED (
    SELECT first_ordinal + a.place - 1 AS ordinal, a.champion
    FROM shadow.request_batch CROSS JOIN LATERAL unnest(champion) WITH ORDINALITY AS a (champion, place)
    WHERE day = :'day' AND snapshot_id = :'snapshot_id'
)
SELECT q[1], q[2]
FROM (
    SELECT percentile_disc(ARRAY[0.01, 0.99]) WITHIN GROUP (ORDER BY u.prediction) AS q
    FROM p
    JOIN r ON r.ordinal = p.ordinal
    CROSS JOIN LATERAL (VALUES (r.champion), (p.value)) AS u (prediction)
    WHERE r.champion <> 'NaN' AND p.value IS NOT NULL
) AS a
