-- The largest disagreements of these snapshots, as recorded when each day was compared, with the labels known by a moment.
SELECT
    d.day, r.request_id[d.ordinal - r.first_ordinal + 1], nullif(r.champion[d.ordinal - r.first_ordinal + 1], 'NaN') AS champion,
    nullif(p.value[d.ordinal - p.first_ordinal + 1], 'NaN') AS challenger,
    CASE WHEN l.known_at <= :'known_by' AND coalesce(l.conflict_at, 'infinity') > :'known_by' THEN nullif(l.value, 'NaN') END
        AS label,
    c.slices
FROM (
    SELECT d.snapshot_id, s.day, d.ordinal, d.distance
    FROM shadow.disagreement AS d
    JOIN shadow.snapshot AS s ON s.id = d.snapshot_id
    WHERE d.challenger_id = :'challenger' AND d.snapshot_id = ANY(:'snapshots'::int[])
    ORDER BY d.distance DESC, s.day, d.ordinal
    LIMIT :'most'
) AS d
JOIN shadow.request_batch AS r
    ON (r.day, r.snapshot_id) = (d.day, d.snapshot_id) AND r.day = ANY(:'days'::date[])
    AND d.ordinal BETWEEN r.first_ordinal AND r.first_ordinal + r.rows - 1
JOIN shadow.prediction_batch AS p
    ON (p.day, p.snapshot_id) = (d.day, d.snapshot_id) AND p.day = ANY(:'days'::date[])
    AND p.challenger_id = :'challenger' AND d.ordinal BETWEEN p.first_ordinal AND p.first_ordinal + p.rows - 1
JOIN shadow.cell AS c ON c.snapshot_id = r.snapshot_id AND c.cell = r.cell[d.ordinal - r.first_ordinal + 1]
LEFT JOIN LATERAL (
    SELECT b.value[p.place], b.known_at[p.place], b.conflict_at[p.place]
    FROM shadow.label_arrival AS b CROSS JOIN LATERAL array_position(b.ordinal, d.ordinal) AS p (place)
    WHERE (b.day, b.snapshot_id) = (d.day, d.snapshot_id) AND b.day = ANY(:'days'::date[])
      AND d.ordinal BETWEEN b.first_ordinal AND b.last_ordinal AND p.place IS NOT NULL
    ORDER BY b.arrival DESC
    LIMIT 1
) AS l (value, known_at, conflict_at) ON true
ORDER BY d.distance DESC, d.day, d.ordinal
