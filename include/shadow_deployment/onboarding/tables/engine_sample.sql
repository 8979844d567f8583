-- Some rows.
SELECT :columns FROM files LIMIT $limit
