-- A day's requests with everything that a metric can ask of them, in the order of the draw.
SELECT
    r.cell, r.champion_version, 1 / r.inclusion_probability AS weight, r.champion, p.value AS challenger,
    l.value AS label, r.champion_latency_ms, p.latency_ms
FROM shadow.request AS r
JOIN shadow.prediction AS p USING (day, snapshot_id, ordinal)
LEFT JOIN shadow.label AS l
    ON l.day = r.day AND l.snapshot_id = r.snapshot_id AND l.ordinal = r.ordinal AND l.conflict IS NULL
WHERE r.day = :'day' AND r.snapshot_id = :'snapshot' AND p.day = :'day' AND p.challenger_id = :'challenger'
ORDER BY r.ordinal
