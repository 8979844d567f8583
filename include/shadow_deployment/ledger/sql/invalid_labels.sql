-- The first invalid labels of some days that were known by a moment; shadow.quarantined_label has their requests.
SELECT l.invalid
FROM shadow.quarantined_label AS l
WHERE l.day = ANY(:'days'::date[]) AND l.snapshot_id = ANY(:'snapshots'::int[]) AND l.invalid_at <= :'known_by'
ORDER BY l.day, l.ordinal
LIMIT :'most'
