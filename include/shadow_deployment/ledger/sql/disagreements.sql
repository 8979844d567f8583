-- The requests of these snapshots that the two answered furthest apart, as they were noted when each day was compared.
SELECT
    d.day, r.request_id[d.ordinal - r.first_ordinal + 1], nullif(r.champion[d.ordinal - r.first_ordinal + 1], 'NaN') AS champion,
    nullif(p.value[d.ordinal - p.first_ordinal + 1], 'NaN') AS challenger,
    CASE WHEN coalesce(l.conflict[d.ordinal - l.first_ordinal + 1], 'NaN') = 'NaN'
        THEN nullif(l.value[d.ordinal - l.first_ordinal + 1], 'NaN') END AS label,
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
    ON r.day = d.day AND r.day = ANY(:'days'::date[]) AND r.snapshot_id = d.snapshot_id
    AND r.first_ordinal <= d.ordinal AND r.first_ordinal + r.rows > d.ordinal
JOIN shadow.prediction_batch AS p
    ON p.day = d.day AND p.day = ANY(:'days'::date[]) AND p.snapshot_id = d.snapshot_id
    AND p.challenger_id = :'challenger' AND p.first_ordinal <= d.ordinal AND p.first_ordinal + p.rows > d.ordinal
JOIN shadow.cell AS c ON c.snapshot_id = r.snapshot_id AND c.cell = r.cell[d.ordinal - r.first_ordinal + 1]
LEFT JOIN shadow.label_batch AS l
    ON l.day = d.day AND l.day = ANY(:'days'::date[]) AND l.snapshot_id = d.snapshot_id
    AND l.first_ordinal <= d.ordinal AND l.first_ordinal + l.rows > d.ordinal
ORDER BY d.distance DESC, d.day, d.ordinal
