-- The champion version that the log says last.
SELECT coalesce(:"version"::text, :'unversioned')
FROM :"table"
WHERE :"time" >= :'since'::timestamptz
ORDER BY :"time" DESC
LIMIT 1
