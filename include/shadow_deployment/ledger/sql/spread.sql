-- Between which values all but two in a hundred answers lie, champion's and challenger's together.
WITH p AS MATERIALIZED (  -- the planner knows of its rows how many they are, and not of arrays
    SELECT ordinal, value
    FROM shadow.prediction
    WHERE day = :'day' AND snapshot_id = :'snapshot' AND challenger_id = :'challenger'
),
r AS MATERIALIZED (
    SELECT first_ordinal + a.place - 1 AS ordinal, a.champion
    FROM shadow.request_batch CROSS JOIN LATERAL unnest(champion) WITH ORDINALITY AS a (champion, place)
    WHERE day = :'day' AND snapshot_id = :'snapshot'
)
SELECT q[1], q[2]
FROM (
    SELECT percentile_disc(ARRAY[0.01, 0.99]) WITHIN GROUP (ORDER BY u.answer) AS q
    FROM p
    JOIN r ON r.ordinal = p.ordinal
    CROSS JOIN LATERAL (VALUES (r.champion), (p.value)) AS u (answer)
    WHERE r.champion <> 'NaN' AND p.value IS NOT NULL
) AS a
