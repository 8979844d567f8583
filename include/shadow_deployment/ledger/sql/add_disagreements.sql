-- Which of a day's requests champion and challenger answered furthest apart. Answers never change, so neither do these.
INSERT INTO shadow.disagreement AS d (challenger_id, snapshot_id, place, ordinal, distance)
SELECT :'challenger', :'snapshot', n.place, n.ordinal, n.distance
FROM unnest(:'ordinals'::int[], :'distances'::float8[]) WITH ORDINALITY AS n (ordinal, distance, place)
ON CONFLICT (challenger_id, snapshot_id, place) DO UPDATE SET ordinal = excluded.ordinal, distance = excluded.distance
WHERE (d.ordinal, d.distance) IS DISTINCT FROM (excluded.ordinal, excluded.distance)
