-- The champion version of the newest request since a moment.
SELECT coalesce(:"version"::text, :'unversioned')
FROM :"table"
WHERE :"time" >= :'since'::timestamptz
ORDER BY :"time" DESC
LIMIT 1
