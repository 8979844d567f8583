-- The rows that have one of some texts.
SELECT :columns FROM files WHERE CAST(:column AS text) IN (SELECT text FROM wanted) LIMIT $limit
