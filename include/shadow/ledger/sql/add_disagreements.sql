-- Which of a day's requests champion and challenger answered furthest apart. Answers never change, so neither do these.
INSERT INTO shadow.disagreement AS d (challenger_id, snapshot_id, place, ordinal, distance)
SELECT :'challenger', :'snapshot', row_number() OVER (ORDER BY distance DESC, ordinal), ordinal, distance
FROM (
    SELECT
        r.ordinal,
        coalesce(
            (SELECT sum(abs(u.p - u.q)) FROM unnest(r.champion_probabilities, p.probabilities) AS u (p, q)),
            abs(r.champion - p.value)
        ) AS distance
    FROM shadow.request AS r
    JOIN shadow.prediction AS p USING (day, snapshot_id, ordinal)
    WHERE r.day = :'day' AND r.snapshot_id = :'snapshot' AND p.day = :'day' AND p.challenger_id = :'challenger'
      AND r.champion IS NOT NULL AND p.value IS NOT NULL
      AND (r.champion, r.champion_probabilities) IS DISTINCT FROM (p.value, p.probabilities)
    ORDER BY distance DESC, r.ordinal
    LIMIT :'most'
) AS furthest
ON CONFLICT (challenger_id, snapshot_id, place) DO UPDATE SET ordinal = excluded.ordinal, distance = excluded.distance
WHERE (d.ordinal, d.distance) IS DISTINCT FROM (excluded.ordinal, excluded.distance)
