-- The first invalid labels of some days that were known by a moment, with their requests.
SELECT l.invalid, r.request_id
FROM shadow.quarantined_label AS l
JOIN shadow.request AS r USING (day, snapshot_id, ordinal)
WHERE l.day = ANY(:'days'::date[]) AND l.snapshot_id = ANY(:'snapshots'::int[]) AND l.invalid_at <= :'known_by'
ORDER BY l.day, l.ordinal
LIMIT :'most'
