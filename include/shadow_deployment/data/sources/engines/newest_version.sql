-- The champion version of the newest request since a moment.
SELECT coalesce(:version, $unversioned)
FROM files
WHERE :time >= :start
ORDER BY :time DESC
LIMIT 1
