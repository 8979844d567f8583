-- The first and last time.
SELECT min(:time::timestamptz) AS first, max(:time::timestamptz) AS last FROM files
